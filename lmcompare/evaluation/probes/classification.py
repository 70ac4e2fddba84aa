"""Probes that say a class: fitted layer by layer, chosen by validation, told of the test sentences.

Beside each stands what the same probe makes of the labels of a control task, and the score on types
that were not learned from.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from lmcompare.evaluation.probes import linear, mlp
from lmcompare.evaluation.probes.controls import control_labels, is_unseen
from lmcompare.evaluation.probes.coordinates import Coordinates, chunks
from lmcompare.evaluation.probes.examples import ProbeExamples, TaskLabels
from lmcompare.evaluation.probes.features import features
from lmcompare.evaluation.probes.linear import Problem
from lmcompare.evaluation.probes.online_code import codelengths
from lmcompare.evaluation.probes.options import Probe
from lmcompare.evaluation.probes.record import LayerResult
from lmcompare.evaluation.states.word_states import States


@dataclass(kw_only=True, eq=False)
class Answered:
    """What the probes of one task said of the test examples, layer by layer.

    Attributes:
        labelled: the task and its labels.
        layers: what each layer reaches.
        right: of each layer which examples were answered rightly; of several seeds the share.
        control: the same of the control task; empty where there is none.
        predicted: of each layer the class of each example, by the first seed.
    """

    labelled: TaskLabels
    layers: list[LayerResult] = field(default_factory=list)
    right: list[Float[ndarray, " N"]] = field(default_factory=list)
    control: list[Float[ndarray, " N"]] = field(default_factory=list)
    predicted: list[Int[ndarray, " N"]] = field(default_factory=list)


def probe_classes(
    states: States,
    examples: ProbeExamples,
    *,
    probe: Probe,
    seeds: Sequence[int],
    device: torch.device,
    report: Callable[[float], None],
) -> list[Answered]:
    """Fit and test the probes of all tasks of some examples, one layer after another.

    Args:
        states: of all words.
        examples: all of whose words are known.
        probe: of which kind.
        seeds: of the control tasks, and of what is drawn in fitting.
        device: where to compute.
        report: told the share that is done, 0 to 1.
    """
    found = [Answered(labelled=each) for each in examples.tasks]
    for number, layer in enumerate(states.layers, start=1):
        read = features(states, layer, examples)
        coordinates = Coordinates.of(
            read, examples.parts["train"], num=len(examples), device=device
        )
        _probe_layer(found, layer, coordinates, examples, probe=probe, seeds=seeds)
        report(number / len(states.layers))
    return found


def _probe_layer(
    found: Sequence[Answered],
    layer: int,
    coordinates: Coordinates,
    examples: ProbeExamples,
    *,
    probe: Probe,
    seeds: Sequence[int],
) -> None:
    """Add what one layer tells to what was found of the tasks."""
    fit = mlp.fit if probe == "mlp" else linear.fit
    train, validation, test = (examples.parts[part] for part in ("train", "validation", "test"))
    problems = [
        Problem(labels=each.labels, num_classes=each.num_classes) for each in examples.tasks
    ]
    # a linear probe has one optimum, whatever the seed
    fitted = [
        fit(coordinates, train, problems, seed=seed)
        for seed in (seeds if probe == "mlp" else seeds[:1])
    ]
    judged = [answers(each, validation) for each in fitted]
    chosen = [
        int(np.argmin(sum(each[index].loss for each in judged))) for index in range(len(problems))
    ]
    tested = [answers(each, test) for each in fitted]
    controls = [_controls(examples, problems, chosen, seed) for seed in seeds]
    controlled = [
        answers(fit(coordinates, train, own, seed=seed), test) if own else []
        for seed, own in zip(seeds, controls, strict=True)
    ]
    codes: list[float] = []
    if probe == "mdl":
        both = [*problems, *controls[0]]
        codes = codelengths(coordinates, examples.parts, both)
    for index, (each, problem, best) in enumerate(zip(found, problems, chosen, strict=True)):
        asked = problem.labels[test] >= 0
        right = np.mean([one[index].right[best] for one in tested], axis=0)
        unseen = is_unseen(examples, each.labelled)[test] & asked
        each.right.append(right)
        each.predicted.append(tested[0][index].predicted[best])
        control = None
        if controls[0]:  # of words; sentences have no types to draw labels for
            each.control.append(np.mean([one[index].right[0] for one in controlled], axis=0))
            control = float(each.control[-1][asked].mean())
        each.layers.append(
            LayerResult(
                layer=layer,
                validation=float(np.mean([one[index].score[best] for one in judged])),
                value=float(right[asked].mean()),
                l2=problem.strengths[best],
                control=control,
                unseen=float(right[unseen].mean()) if unseen.any() else None,
                codelength=codes[index] if codes else None,
                control_codelength=codes[len(problems) + index] if codes and controls[0] else None,
            )
        )


def _controls(
    examples: ProbeExamples, problems: Sequence[Problem], chosen: Sequence[int], seed: int
) -> list[Problem]:
    """Return the control tasks, each with the strength that was chosen for its task."""
    if examples.types is None:
        return []
    return [
        Problem(
            labels=control_labels(examples, labelled, seed),
            num_classes=problem.num_classes,
            strengths=(problem.strengths[best],),
        )
        for labelled, problem, best in zip(examples.tasks, problems, chosen, strict=True)
    ]


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """What the probes of one problem say of some examples, for each strength.

    Attributes:
        loss: the mean cross-entropy in nats, of labels that are classes.
        score: the share of rightly answered examples, of all that are asked.
        right: which these are.
        predicted: the class of each.
    """

    loss: Float[ndarray, " S"]
    score: Float[ndarray, " S"]
    right: Float[ndarray, "S N"]
    predicted: Int[ndarray, "S N"]


def answers(probes: linear.Probes, part: slice) -> list[Answers]:
    """Ask probes about the examples of a part, problem by problem."""
    problems = probes.problems
    loss = [np.zeros(len(each.strengths)) for each in problems]
    predicted: list[list[ndarray]] = [[] for _ in problems]
    for some in chunks(part):
        for index, log_probs in enumerate(probes.log_probs(some)):
            labels = torch.from_numpy(problems[index].labels[some]).to(log_probs.device)
            rows = ((labels >= 0) & (labels < problems[index].num_classes)).nonzero()[:, 0]
            loss[index] -= (
                log_probs[:, labels[rows], rows].sum(1, dtype=torch.float64).cpu().numpy()
            )
            predicted[index].append(log_probs.argmax(1).cpu().numpy())
    found = []
    for own, problem, nats in zip(predicted, problems, loss, strict=True):
        truth = problem.labels[part]
        said, asked = np.concatenate(own, axis=1), truth >= 0
        right = ((said == truth) & asked).astype(np.float64)
        num = max(1, int(asked.sum()))
        found.append(
            Answers(loss=nats / num, score=right.sum(1) / num, right=right, predicted=said)
        )
    return found
