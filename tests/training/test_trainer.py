"""What a run learns, when it ends, and what goes wrong is said."""

import json
import math
from pathlib import Path

import pytest
import torch

from lmcompare.comparison.plateau import unigram_of_targets
from lmcompare.config.run import RunConfig
from lmcompare.errors import UserError
from lmcompare.evaluation.infilling import measure
from lmcompare.evaluation.infilling.options import InfillingOptions
from lmcompare.model import Backbone
from lmcompare.objectives import OBJECTIVES
from lmcompare.optim import Optimizer
from lmcompare.runs.metrics_file import MetricsFile
from lmcompare.training import batches, events, trainer
from lmcompare.training.learner import Learner
from tests.conftest import objectives, values
from tests.tiny import Trainer, assert_equal, outcome, sentences, tiny

GOLDENS = Path(__file__).with_name("goldens.json")


@pytest.mark.parametrize("objective", objectives())
def test_accumulation_equals_one_batch(corpus: Path, train: Trainer, objective: str) -> None:
    rows = ("batch.rows=8", "budget=4 steps", "runtime.micro_batch={}")
    whole, parts, uneven = (
        outcome(train(tiny(corpus, objective, *(each.format(size) for each in rows))))
        for size in (8, 2, 3)
    )
    for split in (parts, uneven):
        for what in ("loss", "gradient_norm", "targets", "flops"):
            expected = [line[what] for line in whole.metrics]
            assert [line[what] for line in split.metrics] == pytest.approx(expected, rel=1e-4)
        assert split.validation == pytest.approx(whole.validation, rel=1e-4)
        for name, tensor in whole.tensors.items():
            if name.startswith("weights "):
                torch.testing.assert_close(split.tensors[name], tensor, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_goldens(corpus: Path, train: Trainer, objective: str) -> None:
    """After a change that is meant to change numbers, put in what this shows.

    They are of the first defaults, under which older studies go on.
    """
    config = tiny(corpus, objective, "defaults=1")
    found = [line["loss"] for line in outcome(train(config)).metrics[:5]]
    expected = json.loads(GOLDENS.read_text())
    assert objective in expected, f"add {objective} to {GOLDENS.name}: {found}"
    assert found == pytest.approx(expected[objective], rel=1e-4)


@pytest.mark.parametrize("objective", values("clm", "mlm", slow=[*OBJECTIVES][2:]))
def test_training_beats_the_unigram_anchor_and_chance_does_not(
    tmp_path: Path, train: Trainer, cache: Path, objective: str
) -> None:
    """A text in which the letters follow one another without exception.

    Objectives learn to answer unlike questions: each has one that it answers well by now. Of t5
    that is its own, as holes of other lengths than those of its training are new to it: with other
    seeds it has 0.37 to 0.41 of its targets' anchor, and 0.3 to 1.0 of that of hidden tokens.
    """
    text = tmp_path / "alphabet.txt"
    text.write_text("\n\n".join(f"{'ab cd ef gh ' * 3}{number}" for number in range(500)))
    steps = 500 if objective == "mdlm" else 300
    settings = ("batch.rows=32", "optimizer.learning_rate=0.01", "validation.times=0")
    asked = InfillingOptions(num_texts=11, device="cpu")

    def shares(config: RunConfig) -> list[float]:
        """Of the anchor's bits."""
        run = train(config)
        if objective == "t5":
            done = run.done()
            anchor = unigram_of_targets(run, config.objective, length=config.batch.length)
            assert done is not None
            assert anchor is not None
            return [done.loss / anchor]
        found = measure.measure_infilling(run, asked, cache=cache)
        return [
            record.bits_per_byte / record.unigram_bits_per_byte
            for record in found
            if record.bits_per_byte is not None
        ]

    assert min(shares(tiny(text, objective, f"budget={steps} steps", *settings))) < 0.55
    assert min(shares(tiny(text, objective, "budget=1 steps"))) > 0.9


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_finished_run_is_left_alone(corpus: Path, train: Trainer, objective: str) -> None:
    config = tiny(corpus, objective, "budget=3 steps")
    run = train(config)
    before = {file: file.stat().st_mtime_ns for file in run.path.rglob("*")}
    train.messages.clear()
    train(config)
    assert train.messages == []
    assert {file: file.stat().st_mtime_ns for file in run.path.rglob("*")} == before


@pytest.mark.parametrize(
    ("budget", "steps"),
    [
        ("5 steps", 5),
        ("4.5 steps", 5),
        ("512 tokens", 4),  # of 4 x 32 each
        ("513 tokens", 5),
        ("124 targets", 1),  # as 4 of the 128 end a paragraph
        ("125 targets", 2),
        ("1 flops", 1),
        ("1e-9 seconds", 1),
    ],
)
def test_a_run_ends_with_its_budget(corpus: Path, train: Trainer, budget: str, steps: int) -> None:
    config = tiny(corpus, "clm", f"budget={budget}")
    run = train(config)
    lines = list(run.metrics())
    assert len(lines) == steps
    assert config.budget.progress(lines[-1].spent) >= 1
    assert all(config.budget.progress(line.spent) < 1 for line in lines[:-1])
    assert lines[-1].validation is not None, "the end is always validated"
    done = run.done()
    assert done is not None
    assert done.spent == lines[-1].spent


def test_a_step_without_a_target_is_no_end(corpus: Path, train: Trainer) -> None:
    """Fifteen tokens of which one in a hundred is predicted: most steps learn nothing."""
    config = tiny(corpus, "mlm", "objective.rate=0.01", "batch.rows=1", "budget=3 targets")
    progress: list[events.Progress] = []
    run = train(
        config,
        hear=lambda event: progress.append(event) if isinstance(event, events.Progress) else None,
    )
    lines = list(run.metrics())
    assert any(line.loss == 0 for line in lines)
    assert lines[-1].targets >= 3
    assert any(event.seconds_left == math.inf for event in progress)


def test_validation_is_spread_over_the_budget(corpus: Path, train: Trainer) -> None:
    run = train(tiny(corpus, "clm", "validation.times=4"))
    assert [line.step for line in run.metrics() if line.validation is not None] == [5, 10, 15, 20]


def test_no_validation_needs_no_text_for_it(corpus: Path, train: Trainer) -> None:
    settings = ("data.shares=[1, 0, 0]", "budget=3 steps")
    with pytest.raises(UserError, match="the validation split has 0 tokens"):
        train(tiny(corpus, "clm", *settings))
    run = train(tiny(corpus, "clm", *settings, "validation.times=0"))
    assert run.last_validation() is None
    assert (done := run.done()) is not None
    assert done.validation is None


def test_the_average_is_what_is_validated_and_kept(corpus: Path, train: Trainer) -> None:
    run = train(tiny(corpus, "clm", "optimizer.ema=0.9"))
    tensors = outcome(run).tensors
    flat = torch.cat([tensors[name].flatten() for name in tensors if name.startswith("weights ")])
    average, master = tensors["optimizer average"], tensors["optimizer weights"]
    assert flat.sort().values.equal(average.sort().values)
    assert not torch.allclose(average, master)
    plain = outcome(train(tiny(corpus, "clm")))
    averaged = outcome(run)
    assert plain.tensors["optimizer weights"].equal(master), "averaging does not disturb training"
    assert plain.loss == averaged.loss
    assert plain.validation != averaged.validation


def test_a_loss_that_is_no_number_ends_the_run(
    corpus: Path, train: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(corpus)
    forward, calls = Backbone.forward, [0]

    def broken(net: Backbone, view: object) -> torch.Tensor:
        calls[0] += net.training
        loss = forward(net, view)  # type: ignore[arg-type]
        return loss * math.nan if calls[0] == 9 else loss

    with monkeypatch.context() as patched:
        patched.setattr(Backbone, "forward", broken)
        with pytest.raises(UserError) as error:
            train(config)
    said = str(error.value)
    assert "the loss became nan at step 9" in said
    assert "the last good checkpoint, of step 7, is kept" in said
    run = train.place(config)
    written = [line.step for line in MetricsFile(run.metrics_file).lines()]
    assert written == list(range(1, 9))
    assert [line.step for line in run.metrics()] == list(range(1, 8)), "those that count"
    assert "nan" not in run.metrics_file.read_text().lower()
    assert run.done() is None
    whole = train(config, run=trainer.Run(train.folder / "whole"))
    assert_equal(train(config), whole)  # from there it goes on


def test_an_absurd_learning_rate(corpus: Path, train: Trainer) -> None:
    config = tiny(corpus, "clm", "optimizer.learning_rate=1e30", "optimizer.warmup=0")
    with pytest.raises(UserError, match=r"became (nan|inf) at step \d+ of .* lower optimizer"):
        train(config)
    run = train.place(config)
    assert run.done() is None
    assert all(math.isfinite(line.loss) for line in run.metrics())


@pytest.mark.parametrize(("what", "step"), [("norm of the gradient", 1), ("validation loss", 10)])
def test_other_numbers_that_are_none(
    corpus: Path, train: Trainer, monkeypatch: pytest.MonkeyPatch, what: str, step: int
) -> None:
    if what == "validation loss":
        monkeypatch.setattr(Learner, "loss", lambda *_: math.inf)
    else:
        monkeypatch.setattr(Optimizer, "step", lambda *_, **__: math.inf)
    config = tiny(corpus)
    with pytest.raises(UserError, match=f"the {what} became inf at step {step} of"):
        train(config)
    run = train.place(config)
    written = [line.step for line in MetricsFile(run.metrics_file).lines()]
    assert written == list(range(1, step))


def test_too_little_memory_is_a_sentence(
    corpus: Path, train: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    monkeypatch.setattr(Backbone, "forward", full)
    with pytest.raises(UserError, match=r"too small for 4 rows of 33 tokens.*runtime\.micro_batch"):
        train(tiny(corpus))


def test_other_text_under_the_same_name_is_another_run(tmp_path: Path, train: Trainer) -> None:
    text = tmp_path / "text.txt"
    text.write_text(sentences(307))
    config = tiny(text)
    run = train(config, stop_at=3)
    text.write_text(sentences(299))
    other = train(config)
    assert other != run
    assert (run.state(), other.state()) == ("stopped", "finished")
    with pytest.raises(UserError, match="holds the run of another configuration or text"):
        train(config, run=run)
    text.write_text(sentences(307))
    assert train(config) == run
    assert "continuing from step 3" in train.messages


def test_a_place_that_holds_another_run_is_refused(corpus: Path, train: Trainer) -> None:
    run = train(tiny(corpus), stop_at=3)
    with pytest.raises(UserError, match="holds the run of another configuration"):
        train(tiny(corpus, "clm", "optimizer.learning_rate=1"), run=run)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (("batch.length=100000",), "fewer than one block of 100,000"),
        (("data.source=nowhere.txt",), "there is no file, folder or match for 'nowhere.txt'"),
        (("tokenizer.file=nowhere.json",), "there is no tokenizer file 'nowhere.json'"),
        (("tokenizer.kind=bpe", "tokenizer.vocab_size=20000"), "vocab"),
        (("runtime.device=banana",), "there is no device 'banana' here"),
    ],
)
def test_what_cannot_begin_leaves_nothing_behind(
    corpus: Path, train: Trainer, settings: tuple[str, ...], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        train(tiny(corpus, "clm", *settings))
    assert not train.folder.exists()


def test_arms_read_the_same_text_and_start_alike(corpus: Path, train: Trainer) -> None:
    sheets = [
        train(tiny(corpus, objective, "budget=1 steps")).record().sheet for objective in OBJECTIVES
    ]
    weights = [sheet.weights for sheet in sheets]
    for sheet in sheets:
        assert sheet.model_dump(exclude={"weights"}) == sheets[0].model_dump(exclude={"weights"})
        shared = sheet.weights.keys() & weights[0].keys()
        assert "embedding" in shared
        assert all(sheet.weights[name] == weights[0][name] for name in shared)
    other = train(tiny(corpus, "clm", "budget=1 steps", "seed=1")).record().sheet
    assert other.text == sheets[0].text
    assert other.order != sheets[0].order
    embedding = "embedding"
    assert other.weights[embedding] != sheets[0].weights[embedding]


def test_what_was_read_is_hashed_as_it_goes(
    corpus: Path, train: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same however often a run is interrupted, and another where another order was read."""

    def read(run: trainer.Run) -> dict[int, str]:
        done = run.done()
        assert done is not None
        assert done.manifest is not None
        assert done.manifest.read is not None
        return dict(done.manifest.read)

    whole = read(train(tiny(corpus, "clm")))
    assert list(whole) == [1, 2, 4, 8, 16, 20]
    for step in (2, 5, 16):
        parts = train(tiny(corpus, "mlm"), stop_at=step)
    assert read(train(tiny(corpus, "mlm"), run=parts)) == whole
    short = read(train(tiny(corpus, "clm", "budget=5 steps")))
    assert short == {step: whole[step] for step in (1, 2, 4)} | {5: short[5]}

    text_of_step = batches.training_text

    def otherwise(*given: object, step: int, **more: object) -> object:
        return text_of_step(*given, step=step if step < 9 else step + 1, **more)  # type: ignore

    monkeypatch.setattr(batches, "training_text", otherwise)
    other = read(train(tiny(corpus, "plm")))
    assert {step for step in whole if whole[step] == other[step]} == {1, 2, 4, 8}
