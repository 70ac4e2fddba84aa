"""Training that starts from the weights of another model: which they are, and what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lmcompare.config.run import RunConfig
from lmcompare.config.study import Planned, parse_study
from lmcompare.data import Tokenizer, TokenizerConfig
from lmcompare.errors import UserError
from lmcompare.huggingface import load_hf
from lmcompare.objectives import Clm
from lmcompare.runs import checkpoints
from lmcompare.runs.curve_groups import cautions
from lmcompare.runs.curves import read_curve
from lmcompare.runs.loaded_model import load_model, untrained
from lmcompare.runs.run import Run
from lmcompare.runs.run_lock import Busy
from lmcompare.training import launch
from lmcompare.training.planning import planned_runs
from tests.huggingface.models import text_of
from tests.huggingface.test_backbone_weights import folder_of
from tests.tiny import Trainer, assert_equal, outcome, tiny


def trained(config: RunConfig, train: Trainer, *, stop_at: int | None = None) -> Run:
    """Train a run whose start is found as the command line finds it."""
    planned = Planned(arm=config.objective.name, config=config)
    ready = launch.prepare(planned, study=train.folder, cache=train.cache)
    steps = [0]

    def report(event: Any) -> None:
        train.messages.append(getattr(event, "text", ""))
        steps.append(event.line.step if hasattr(event, "line") else steps[-1])

    if stop_at is None:
        ready.train(report=report)
    else:
        with pytest.raises(launch.trainer.Interrupted):
            ready.train(report=report, should_stop=lambda: steps[-1] == stop_at)
    return ready.run


@pytest.mark.parametrize("average", [(), ("optimizer.ema=0.9",)])
def test_at_first_it_is_the_model_that_it_starts_from(
    corpus: Path, train: Trainer, average: tuple[str, ...]
) -> None:
    """So its own objective's loss before the first step is that with which that run ended."""
    source = train(tiny(corpus, "clm", *average))
    ended = list(source.metrics())[-1]
    run = trained(tiny(corpus, "clm", "budget=3 steps", f"init={source.path}"), train)
    first = next(run.metrics())
    assert first.validation_before == ended.validation
    assert first.common_before == ended.common
    before, after = (
        load_model(source, device="cpu", warn=pytest.fail),
        *untrained(load_model(run, device="cpu", warn=pytest.fail)),
    )
    assert isinstance(before.net, torch.nn.Module)
    assert isinstance(after.net, torch.nn.Module)
    for name, tensor in before.net.state_dict().items():
        assert tensor.equal(after.net.state_dict()[name]), name


@pytest.mark.parametrize("objective", ["mlm", "mntp", "mdlm", "prefix"])
def test_what_attention_to_both_sides_does_to_a_causal_model_is_measured(
    corpus: Path, train: Trainer, objective: str
) -> None:
    source = train(tiny(corpus, "clm"))
    ended = list(source.metrics())[-1]
    run = trained(tiny(corpus, objective, "budget=3 steps", f"init={source.path}"), train)
    lines = list(run.metrics())
    assert lines[0].validation_before is not None
    assert [line.validation_before for line in lines[1:]] == [None, None]
    assert lines[0].validation_before != ended.validation
    said = f"{objective} on the weights of {source.path}: before its first step validation"
    assert any(said in message for message in train.messages)


def test_what_was_spent_before_is_counted(corpus: Path, train: Trainer) -> None:
    one = train(tiny(corpus, "clm"))
    two = trained(tiny(corpus, "mlm", f"init={one.path}"), train)
    three = trained(tiny(corpus, "prefix", "budget=3 steps", f"init={two.path}"), train)
    starts = [run.record().start for run in (one, two, three)]
    dones = [run.done() for run in (one, two, three)]
    assert starts[0] is None
    assert starts[1] is not None
    assert starts[2] is not None
    assert dones[0] is not None
    assert dones[1] is not None
    assert starts[1].trained_by == "clm"
    assert starts[1].spent == dones[0].spent
    assert starts[2].trained_by == "clm, then mlm"
    assert starts[2].spent == dones[0].spent.plus(dones[1].spent)


def test_it_goes_on_bit_by_bit(corpus: Path, train: Trainer) -> None:
    source = train(tiny(corpus, "clm"))
    config = tiny(corpus, "mlm", f"init={source.path}")
    run = trained(config, train, stop_at=9)
    trained(config, train)
    again = launch.prepare(
        Planned(arm="mlm", config=config), study=train.folder, cache=train.cache, again=True
    )
    again.train(report=lambda _: None)
    assert again.run.path != run.path
    assert_equal(run, again.run)
    assert outcome(run).tensors["optimizer step"] == 20, "the optimizer starts anew"


def test_a_checkpoint_by_its_folder(corpus: Path, train: Trainer) -> None:
    phases = 'phase=[{objective="clm", budget="60%"}, {objective="mlm"}]'
    source = train(tiny(corpus, "", phases))
    place = checkpoints.place_of(source.checkpoints, 12)
    run = trained(tiny(corpus, "mlm", f"init={place}"), train)
    start = run.record().start
    assert start is not None
    assert (start.trained_by, start.spent.steps) == ("clm 60%", 12)
    whole, first = list(source.metrics())[12], next(run.metrics())
    assert first.validation_before == whole.validation_before


def test_a_run_is_known_by_the_weights_and_not_by_their_name(
    corpus: Path, train: Trainer, tmp_path: Path
) -> None:
    source = train(tiny(corpus, "clm"))
    other = train(tiny(corpus, "clm", "seed=1"))
    link = tmp_path / "link"
    link.symlink_to(source.path)
    places = [
        launch.prepare(
            Planned(arm="mlm", config=tiny(corpus, "mlm", f"init={path}")),
            study=train.folder,
            cache=train.cache,
        ).run.path
        for path in (source.path, link, other.path)
    ]
    assert places[0] == places[1] != places[2]
    assert places[0] != train.place(tiny(corpus, "mlm")).path


def test_arms_start_from_arms_of_their_seed(corpus: Path, train: Trainer) -> None:
    tables = {
        "shared": {"seeds": [0, 1], "budget": "3 steps", "data": {"source": str(corpus)}},
        "arm": [
            {"name": "last", "objective": "prefix", "init": "then"},
            {"name": "then", "objective": "mlm", "init": "clm"},
            {"objective": "clm"},
        ],
    }
    planned = [small(each, corpus) for each in parse_study(Path("study.toml"), tables)]
    assert [(each.arm, each.config.seed, each.depth) for each in planned[:3]] == [
        ("clm", 0, 0),
        ("then", 0, 1),
        ("last", 0, 2),
    ]
    with pytest.raises(UserError, match=r"then starts from clm, and .* is not finished: train"):
        launch.prepare(planned[1], study=train.folder, cache=train.cache)
    runs = []
    for each in planned[:3]:
        ready = launch.prepare(each, study=train.folder, cache=train.cache)
        ready.train(report=lambda _: None)
        runs.append(ready.run)
    start = runs[-1].record().start
    assert start is not None
    assert (start.trained_by, start.spent.steps) == ("clm, then mlm", 6)
    with runs[0].locked(), pytest.raises(Busy):
        launch.prepare(planned[1], study=train.folder, cache=train.cache)


def small(planned: Planned, corpus: Path) -> Planned:
    """The same at the size of these tests, and so those that it starts from."""
    like, names = tiny(corpus), ("model", "tokenizer", "batch", "validation", "runtime")
    config = planned.config.model_copy(update={name: getattr(like, name) for name in names})
    start = None if planned.start is None else small(planned.start, corpus)
    return replace(planned, config=config, start=start)


@pytest.mark.parametrize(
    ("arms", "said"),
    [
        ([{"objective": "clm", "init": "clm"}], "the arm clm starts from itself"),
        (
            [{"objective": "clm", "init": "mlm"}, {"objective": "mlm", "init": "clm"}],
            "the arm clm starts from itself, by way of clm, mlm: let one of them start anew",
        ),
        ([{"objective": "clm", "phase": [{"objective": "clm"}]}], "both an objective and phases"),
        ([{"init": "clm"}], "an arm has no objective"),
    ],
)
def test_studies_that_cannot_be(arms: list[Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        parse_study(Path("study.toml"), {"arm": arms})


def test_an_arm_is_called_by_its_phases() -> None:
    phases = [{"objective": "clm", "budget": "60%"}, {"objective": {"name": "mlm", "rate": 0.3}}]
    (planned,) = parse_study(Path("study.toml"), {"arm": [{"phase": phases}]})
    assert planned.arm == "clm-mlm"
    twice = {"arm": [{"phase": phases}, {"phase": phases}]}
    with pytest.raises(UserError, match="two arms have the same name"):
        parse_study(Path("study.toml"), twice)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (("model.layers=3",), r"backbone of .* is another .*\(layers 2 there and 3 here\)"),
        (("objective=t5",), r"backbone of .* is another .*\(encoder_layers 0 there"),
        (
            ("tokenizer.spare=3",),
            r"vocabulary of .* is another .*tokenizer\.file=.*tokenizer\.json",
        ),
    ],
)
def test_what_does_not_fit(
    corpus: Path, train: Trainer, settings: tuple[str, ...], said: str
) -> None:
    source = train(tiny(corpus, "clm", "budget=3 steps"))
    before = sorted(train.folder.iterdir())
    with pytest.raises(UserError, match=said) as error:
        trained(tiny(corpus, "mlm", f"init={source.path}", *settings), train)
    assert "\n" not in str(error.value)
    assert sorted(train.folder.iterdir()) == before, "nothing is left behind"


def test_starts_that_are_no_good(corpus: Path, train: Trainer, tmp_path: Path) -> None:
    source = train(tiny(corpus, "clm"), stop_at=9)

    def refused(init: object, said: str) -> None:
        with pytest.raises(UserError, match=said):
            trained(tiny(corpus, "mlm", f"init={init}"), train)

    refused(source.path, "which is not finished: let `lmcompare train` finish it first")
    refused(tmp_path / "nowhere", "there is no run or study at")
    refused(train.folder.parent / "study", "which is not finished")
    refused(f"hf:{tmp_path / 'nowhere'}", "nowhere")
    train(tiny(corpus, "clm"))
    train(tiny(corpus, "clm", "seed=1"))
    refused(train.folder, "holds 2 runs, and training starts from one: name it")
    weights = checkpoints.place_of(source.checkpoints, 20) / checkpoints.MODEL
    weights.write_bytes(weights.read_bytes()[:-4])
    refused(source.path, r"model\.safetensors .* does not match its checksum")
    (source.path / "run.json").write_text("{")
    refused(source.path, "is no valid RunRecord")


def test_tokens_that_a_model_lacks_start_as_new_ones(
    corpus: Path, train: Trainer, tmp_path: Path
) -> None:
    """A tokenizer without a mask, and the same with all that it lacks added above."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["[PAD]", "[BOS]", "[EOS]", "[UNK]", "the", "cat", "saw", "dog"]
    library = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, "[UNK]"))
    library.pre_tokenizer = pre_tokenizers.Whitespace()
    library.add_special_tokens(words[:4])
    library.save(str(tmp_path / "tokenizer.json"))
    file, shares = f"tokenizer.file={tmp_path / 'tokenizer.json'}", "data.shares=[0.7,0.15,0.15]"
    source = train(tiny(corpus, "clm", file, shares, "budget=3 steps"))
    with pytest.raises(UserError, match="the tokenizer has no mask token"):
        trained(tiny(corpus, "mlm", file, shares, f"init={source.path}"), train)
    complete = (file, shares, "tokenizer.add_missing=true")
    config = tiny(corpus, "mlm", *complete, f"init={source.path}")
    run = trained(config, train)
    start = run.record().start
    assert start is not None
    assert start.added[0] == "[MASK]"
    ours, theirs = (
        each.net.state_dict()["embedding"]  # type: ignore[attr-defined]
        for each in (
            *untrained(load_model(run, device="cpu", warn=pytest.fail)),
            load_model(source, device="cpu", warn=pytest.fail),
        )
    )
    assert ours[: len(theirs)].equal(theirs)
    assert len(ours) == len(theirs) + len(start.added)
    mean = theirs.mean(0).expand(len(start.added), -1)
    torch.testing.assert_close(ours[len(theirs) :], mean)


def test_a_lost_copy_is_said(corpus: Path, train: Trainer) -> None:
    source = train(tiny(corpus, "clm", "budget=3 steps"))
    run = trained(tiny(corpus, "mlm", "budget=3 steps", f"init={source.path}"), train)
    model = load_model(run, device="cpu", warn=pytest.fail)
    content = run.start_file.read_bytes()
    run.start_file.write_bytes(content[:-1] + b"x")
    with pytest.raises(UserError, match=r"start\.safetensors, .* has changed"):
        untrained(model)
    run.start_file.unlink()
    with pytest.raises(UserError, match=r"start\.safetensors, .* is missing"):
        untrained(model)


def test_a_finished_run_is_left_where_its_start_is_gone(corpus: Path, train: Trainer) -> None:
    source = train(tiny(corpus, "clm", "budget=3 steps"))
    config = tiny(corpus, "mlm", "budget=3 steps", f"init={source.path}")
    run = trained(config, train)
    source.path.rename(source.path.with_name("moved"))
    planned = Planned(arm="mlm", config=config)
    ready = launch.prepare(planned, study=train.folder, cache=train.cache)
    assert (ready.run, ready.finished) == (run, run.done())
    assert "whether the model that it started from is still the same was not checked" in (
        ready.caution
    )
    assert ready.train(report=pytest.fail) == run.done()
    with pytest.raises(UserError, match="there is no run or study at"):
        launch.prepare(planned, study=train.folder, cache=train.cache, again=True)


def test_shape_and_tokenizer_come_with_it(corpus: Path, train: Trainer, tmp_path: Path) -> None:
    source = train(tiny(corpus, "clm", "budget=3 steps"))
    planned = planned_runs(
        None,
        {"objective": "mlm", "init": str(source.path), "data": {"source": str(corpus)}},
        study=train.folder,
        warn=pytest.fail,
    )
    config = planned[0].config
    assert config.model == source.record().config.model
    ready = launch.prepare(planned[0], study=train.folder, cache=train.cache)
    assert ready.start is not None
    assert ready.text is not None
    assert ready.text.tokenizer.hash == source.record().sheet.tokenizer
    given = {"objective": "mlm", "init": str(source.path), "model": "micro"}
    kept = planned_runs(None, given, study=train.folder, warn=pytest.fail)
    assert kept[0].config.model.preset == "micro", "what is given stays, to be refused"


def test_a_model_of_hugging_face(corpus: Path, train: Trainer, tmp_path: Path) -> None:
    """One of the backbone's shape, whose tokenizer has no mask."""
    place = folder_of(tmp_path / "llama", "llama")
    given = {
        "objective": "mlm",
        "init": f"hf:{place}",
        "tokenizer": {"file": f"hf:{place}", "add_missing": True},
        "data": {"source": str(corpus), "shares": [0.7, 0.15, 0.15]},
        "budget": "3 steps",
        "batch": {"rows": 4, "length": 33},
        "validation": {"times": 1, "blocks": 3},
    }
    (planned,) = planned_runs(None, given, study=train.folder, warn=pytest.fail)
    ready = launch.prepare(planned, study=train.folder, cache=train.cache)
    ready.train(report=lambda _: None)
    start = ready.run.record().start
    assert start is not None
    assert start.spent is None
    (said,) = cautions([read_curve(ready.run)], "common")
    assert "what was spent on the weights that it started from is not known" in said
    assert "[MASK]" in start.added
    theirs = load_hf(f"hf:{place}")
    size = Tokenizer.of_file(TokenizerConfig(file=f"hf:{place}")).vocab.size
    (first,) = untrained(load_model(ready.run, device="cpu", warn=pytest.fail))
    text = text_of(theirs.tokenizer.vocab, 11, 7)
    view = Clm().read(text, theirs.tokenizer.vocab)
    expected = theirs.net.logits(view, view.visible)[:, :size]
    found = first.net.logits(view, view.visible)[:, :size]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(UserError, match=r"vocabulary of hf:.* tokenizer\.file=hf:"):
        trained(tiny(corpus, "mlm", f"init=hf:{place}", *shape_of(planned.config)), train)
    gpt2 = folder_of(tmp_path / "gpt2", "gpt2")
    with pytest.raises(UserError, match=r"training cannot start from .*, as it is a gpt2"):
        trained(tiny(corpus, "mlm", f"init=hf:{gpt2}"), train)


def shape_of(config: RunConfig) -> list[str]:
    found = config.model.model_dump(exclude={"preset", "match"}, exclude_none=True)
    return [f"model.{name}={value}" for name, value in found.items()]
