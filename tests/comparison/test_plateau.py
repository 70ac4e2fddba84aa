"""When a run has left the frequencies of its targets behind, and when it has learned nothing."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from lmcompare.comparison import compare
from lmcompare.comparison.arms import Result, read_results
from lmcompare.comparison.plateau import MARGIN, WINDOW
from lmcompare.data import Tokenizer
from lmcompare.evaluation import heldout_text
from lmcompare.files import checksum
from lmcompare.runs.run import Run
from tests.tiny import Trainer, tiny


def result_of(run: Run) -> Result:
    (result,) = read_results([run], unfinished=False, note=pytest.fail)
    return result


def entropy(run: Run) -> float:
    """Of the words of the training text, nats."""
    cost = heldout_text.unigram_nats(run, Tokenizer.load(run.tokenizer_file))
    share = np.exp(-cost)
    return float((share[share > 0] * cost[share > 0]).sum())


def log(run: Run, losses: Sequence[float]) -> None:
    """Write these losses in place of its own, with unlike numbers of targets."""
    line = next(iter(run.metrics()))
    total = 0
    with run.metrics_file.open("w") as file:
        for step, loss in enumerate(losses, start=1):
            total += 7 + step % 3
            changed = line.model_copy(update={"step": step, "targets": total, "loss": loss})
            file.write(changed.model_dump_json() + "\n")
    done = run.done()
    assert done is not None
    assert done.manifest is not None
    size = run.metrics_file.stat().st_size
    hashed = {"metrics": checksum(run.metrics_file, size=size), "metrics_size": size}
    done.model_copy(update={"manifest": done.manifest.model_copy(update=hashed)}).write(
        run.done_file
    )


def test_the_unigram_is_that_of_the_targets(train: Trainer, corpus: Path) -> None:
    """Of `t5` three of eight are no words: two sentinels and the end."""
    for objective, words, ends in (("clm", 1.0, []), ("mlm", 1.0, []), ("t5", 5 / 8, [1 / 8] * 3)):
        run = train(tiny(corpus, objective, "budget=1 steps", "batch.length=33"))
        expected = words * (entropy(run) - math.log(words))
        expected -= sum(share * math.log(share) for share in ends)
        assert result_of(run).unigram_of_targets == pytest.approx(expected)


def test_the_step_is_the_first_at_which_the_mean_is_well_below(
    train: Trainer, corpus: Path
) -> None:
    run = train(tiny(corpus, "mlm", "budget=1 steps"))
    unigram = result_of(run).unigram_of_targets
    assert unigram is not None
    far, near = unigram - 3 * MARGIN, unigram - 0.5 * MARGIN
    for losses, expected in (
        ([near] * 300, math.inf),
        ([far] * 300, WINDOW),
        ([far] * (WINDOW - 1), math.inf),  # too few to say
        ([near] * 100 + [far] * 100, 100 + math.ceil(WINDOW * 0.2)),
    ):
        log(run, losses)
        found = result_of(run).steps_to_leave_unigram
        assert found == pytest.approx(expected, abs=1)
    frame = compare([run]).frame.set_index("metric")["value"]
    assert frame["unigram_of_targets"] == pytest.approx(unigram)
    assert abs(frame["steps_to_leave_unigram"] - 110) <= 1


def test_each_seed_is_said(train: Trainer, corpus: Path) -> None:
    runs = [train(tiny(corpus, "mlm", "budget=1 steps", f"seed={seed}")) for seed in (0, 1)]
    log(runs[0], [0.5] * 1_100)
    log(runs[1], [9.0] * 1_100)
    [note] = [note for note in compare(runs).notes if "below the unigram of its targets" in note]
    assert note.endswith("by seed: mlm 50, never")


def test_what_is_gone_or_broken_is_unknown(train: Trainer, corpus: Path) -> None:
    run = train(tiny(corpus, "mlm", "budget=3 steps"))
    run.metrics_file.write_text("nonsense\n")
    assert result_of(run).steps_to_leave_unigram is None
    assert any("by seed: mlm never" in note for note in compare([run]).notes) is False
    run.counts_file.unlink()
    assert result_of(run).unigram_of_targets is None
    assert not any("unigram of its targets" in note for note in compare([run]).notes)


def test_another_tokenizer_is_not_asked(train: Trainer, corpus: Path) -> None:
    run = train(tiny(corpus, "clm", "budget=2 steps"))
    assert result_of(run).unigram_of_targets is not None
    written = json.loads(run.tokenizer_file.read_text())
    ids = written["model"]["vocab"]
    one, other = sorted(ids)[:2]
    ids[one], ids[other] = ids[other], ids[one]
    run.tokenizer_file.write_text(json.dumps(written))
    assert result_of(run).unigram_of_targets is None


@pytest.mark.parametrize("objective", ["t5", "mlm"])
def test_own_targets_tell_whether_anything_was_learned(
    train: Trainer, corpus: Path, objective: str
) -> None:
    """Of a model that no likelihood of a text can tell: never trained for one, or it has none."""
    run = train(tiny(corpus, objective, "budget=1 steps"))
    unigram = result_of(run).unigram_of_targets
    assert unigram is not None
    done = run.done()
    assert done is not None
    for validation, flagged in ((unigram + 0.1, True), (unigram - 0.1, False)):
        done.model_copy(update={"validation": validation}).write(run.done_file)
        notes = [note for note in compare([run]).notes if "has learned nothing" in note]
        assert len(notes) == flagged
        if flagged:
            assert f"unigram of its targets {unigram:.3f} nats a target" in notes[0]
