"""The length of an online code: how little data a probe needs (Voita & Titov 2020, section 2.2).

The training labels are sent in portions. The first is sent by a uniform code, each later one by the
probabilities of a probe that was fitted to all before it. What is easily read from the states is
learned from few examples, so that the code is short. Examples come in the order of reading, in
which sentences are shuffled.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from lmcompare.evaluation.probes.coordinates import Coordinates, chunks
from lmcompare.evaluation.probes.linear import Probes, Problem, fit

# shares of the training examples up to which each portion goes
PORTIONS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.0625, 0.125, 0.25, 0.5, 1.0)


def uniform_codelength(problem: Problem, part: slice) -> float:
    """Return the bits of all labels of a part if each class were as likely."""
    return _num_asked(problem, part) * float(np.log2(problem.num_classes))


def codelengths(
    coordinates: Coordinates, parts: Mapping[str, slice], problems: Sequence[Problem]
) -> list[float]:
    """Return the bits of the training labels of each problem.

    The strength of L2 is chosen anew for each portion, by the validation examples.
    """
    train = parts["train"]
    num = train.stop - train.start
    ends = sorted({train.start + max(1, round(share * num)) for share in PORTIONS})
    found = [uniform_codelength(each, slice(train.start, ends[0])) for each in problems]
    for known, end in pairwise(ends):
        before, portion = slice(train.start, known), slice(known, end)
        able = [each for each in problems if _num_asked(each, before)]
        if able:
            probes = fit(coordinates, before, able)
            judged, sent = _nats(probes, parts["validation"]), _nats(probes, portion)
        bits = iter(
            [float(own[np.argmin(by)] / np.log(2)) for by, own in zip(judged, sent, strict=True)]
            if able
            else []
        )
        for index, problem in enumerate(problems):
            found[index] += (
                next(bits) if _num_asked(problem, before) else uniform_codelength(problem, portion)
            )
    return found


def _nats(probes: Probes, part: slice) -> list[np.ndarray]:
    """Return minus the log-probability of the labels of a part, for each strength."""
    found = [np.zeros(len(each.strengths)) for each in probes.problems]
    for some in chunks(part):
        for index, log_probs in enumerate(probes.log_probs(some)):
            problem = probes.problems[index]
            labels = problem.labels[some]
            rows = np.flatnonzero((labels >= 0) & (labels < problem.num_classes))
            own = log_probs.double().cpu().numpy()
            found[index] -= own[:, labels[rows], rows].sum(1)
    return found


def _num_asked(problem: Problem, part: slice) -> int:
    labels = problem.labels[part]
    return int(((labels >= 0) & (labels < problem.num_classes)).sum())
