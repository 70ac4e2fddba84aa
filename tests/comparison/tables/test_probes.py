"""Probes with known answers: the table, its cells, its verdicts and its flags."""

import io
import json
import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lmcompare.comparison import FORMATS, compare
from lmcompare.comparison.frame import COLUMNS
from lmcompare.comparison.sanity_checks import NO_GAIN
from lmcompare.comparison.tables.probe_tables import ProbeTables
from lmcompare.comparison.tables.probes import SCORES
from lmcompare.errors import UserError
from lmcompare.evaluation.probes.record import ProbeRecord
from tests.comparison.known_probes import (
    ALL,
    NUM,
    WORDS,
    block,
    flat,
    probe,
    probed,
    rows,
    some,
    tables,
)
from tests.comparison.known_runs import write_run

OPTIONS = "--treebank en_toy-ud --tasks upos --probe linear --words mean"


def test_values_are_of_the_layer_that_validation_chose(study):
    run = write_run(study, "clm", 0)
    score = [flat(2), flat(5), some(0.6), flat(6)]
    probe(run, score, validation=(0.1, 0.5, 0.9, 0.7), baselines={"type": flat(2)})
    row = rows(compare([run]))["clm"]
    assert row.value.value == pytest.approx(score[2].sum() / ALL)
    assert row.value.low < row.value.value < row.value.high
    assert (row.layer, row.highest_layer) == (2, 3)
    assert row.above.value == pytest.approx((score[2] - 2).sum() / ALL)
    # each gain weighted by its layer: (1 x 0.4 + 2 x 0.4) / 0.8
    assert row.center == pytest.approx(1.5)
    assert [point.score.value for point in row.curve] == pytest.approx(
        [each.sum() / ALL for each in score]
    )


def test_seeds_are_averaged_each_at_its_own_best_layer(study):
    runs = [write_run(study, "clm", seed) for seed in range(3)]
    score = [some(0.5, seed=seed) for seed in range(3)]
    for run, own, layer in zip(runs, score, (0, 1, 1), strict=True):
        layers = [flat(1), flat(1)]
        layers[layer] = own
        probe(run, layers, unseen=(7 + layer, 11))
    row = rows(compare(runs))["clm"]
    shares = [own.sum() / ALL for own in score]
    assert row.value.value == pytest.approx(np.mean(shares))
    assert row.layer == pytest.approx(2 / 3)
    assert row.unseen == pytest.approx(np.mean([7, 11, 11]) / NUM)
    assert row.center is None, "in the first there is no gain beyond the embedding"
    assert (row.seeds, row.num_runs) == ((0, 1, 2), 3)


def test_selectivity_is_paired_over_sentences_and_seeds(study):
    """By numpy: of one model the mean difference of sentences, and its standard error."""
    run = write_run(study, "clm", 0)
    ours, control = some(0.8, seed=1), some(0.5, seed=2)
    probe(run, [ours], control=[control])
    found = rows(compare([run]))["clm"].selectivity
    differences = (ours - control) / WORDS
    error = differences.std(ddof=1) / NUM**0.5
    low, high = differences.mean() + error * stats.t.ppf([0.025, 0.975], NUM - 1)
    assert [found.value, found.low, found.high] == pytest.approx([differences.mean(), low, high])


def test_selectivity_of_several_seeds_counts_their_spread(study):
    """Scores and controls that rise together leave a selectivity that is sure."""
    runs = [write_run(study, "clm", seed) for seed in range(3)]
    for run, shift in zip(runs, (0, 1, 2), strict=True):
        probe(run, [flat(3 + shift) + np.resize([0, 1], NUM)], control=[flat(1 + shift)])
    row = rows(compare(runs))["clm"]
    assert row.selectivity.value == pytest.approx((2 + 26 / NUM) / WORDS)
    assert row.selectivity.high - row.selectivity.low < 0.1 < row.value.high - row.value.low
    unlike = [write_run(study, "mlm", seed) for seed in range(3)]
    for run, shift in zip(unlike, (0, 1, 2), strict=True):
        probe(run, [flat(4)], control=[flat(1 + shift)])
    wide = rows(compare(unlike))["mlm"].selectivity
    half = stats.t.ppf(0.975, 2) * np.std([1, 2, 3], ddof=1) / 3**0.5 / WORDS
    assert wide.high - wide.value == pytest.approx(half, rel=0.01)


def test_each_arm_stands_beside_the_reference(study):
    runs = probed(study, "a", 0.5) + probed(study, "b", 0.9) + probed(study, "c", 0.5)
    comparison = compare(runs)
    found = rows(comparison)
    assert block(comparison).reference == "a"
    records = {
        run.record().arm: np.array([item["score"][2] for item in items_of(run)]) for run in runs
    }
    for label in "bc":
        differences = records[label] - records["a"]
        value = differences.mean() / WORDS
        assert found[label].difference.value == pytest.approx(value)
        squares = (differences**2).sum() * (1 + 2 / (differences != 0).sum())
        z = value / (squares**0.5 / NUM / WORDS)
        p = 2 * stats.norm.sf(abs(z))
        assert found[label].p == pytest.approx(p, rel=1e-3)
        assert found[label].corrected_p == pytest.approx(1 - (1 - p) ** 2, rel=1e-3)
    assert [found[each].verdict for each in "abc"] == [None, "wins", "ties"]
    assert [row.verdict for row in rows(compare(runs, reference="b")).values()] == [
        *("loses", None, "loses")
    ]
    [table] = tables(comparison)
    assert any(note.startswith("p, verdicts and") and "of 2 comp" in note for note in table.notes)


def items_of(run):
    [record] = run.results.read(ProbeRecord)
    return run.results.parsed(record, json.loads)


def test_comparisons_are_corrected_over_all_tasks_of_a_table(study):
    runs = probed(study, "a", 0.5) + probed(study, "b", 0.62)
    alone = rows(compare(runs))["b"]
    for task, group in (("Case", "features"), ("arc", "edge"), ("xpos", "token")):
        for run in runs:
            probe(run, [flat(3)], task=task, group=group)
    [table] = tables(compare(runs))
    assert [(each.group, each.task) for each in table.blocks] == [
        *(("token", "upos"), ("token", "xpos"), ("features", "Case"), ("edge", "arc"))
    ]
    again = table.blocks[0].rows[1]
    assert again.p == alone.p
    assert again.corrected_p == pytest.approx(1 - (1 - alone.p) ** 4)


def test_treebanks_probes_and_rules_for_words_stand_apart(study):
    run = write_run(study, "clm", 0)
    for changes in ({}, {"source": "de_toy"}, {"probe": "mlp"}, {"words": "last"}):
        probe(run, [flat(3)], **changes)
    assert [(each.source, each.probe, each.words) for each in tables(compare([run]))] == [
        ("de_toy", "linear", "mean"),
        *(
            ("en_toy-ud", probe, words)
            for probe, words in (("linear", "last"), ("linear", "mean"), ("mlp", "mean"))
        ),
    ]


def test_a_mixture_has_a_row_for_each_of_its_parts(study):
    runs = probed(study, "hybrid", 0.5, objective="hybrid", states_of="as clm")
    probe(runs[0], [some(0.9)] * 2, states_of="as mlm")
    runs += probed(study, "clm", 0.6)
    found = compare(runs, reference="hybrid")
    assert [*rows(found)] == ["clm", "hybrid as clm", "hybrid as mlm"]
    assert block(found).reference == "hybrid as clm"
    assert rows(found)["hybrid as mlm"].verdict == "wins"
    row = found.frame[found.frame.label.eq("hybrid") & found.frame.states.eq("as mlm")]
    assert "upos accuracy difference" in {*row.metric}


def test_only_the_ends_of_runs_count_and_untrained_models_stand_apart(study):
    run = write_run(study, "clm", 0, steps=100)
    probe(run, [some(0.9)])
    probe(run, [flat(1)], step=50)
    probe(run, [flat(2)], step=0)
    row = rows(compare([run]))["clm"]
    assert row.value.value == pytest.approx(some(0.9).sum() / ALL)
    assert row.untrained.value == pytest.approx(2 / WORDS)
    late = write_run(study, "mlm", 0, steps=100)
    probe(late, [flat(1)], step=50)
    notes = compare([late]).notes
    command = f"`lmcompare probe {late.path} {OPTIONS}`"
    assert f"probed at step 50 of 100 and left out: {command}" in notes
    assert not any("probed at step" in note for note in compare([run]).notes)


def test_other_sentences_and_layers_are_not_mixed(study):
    runs = probed(study, "a", 0.5, 0.5) + probed(study, "b", 0.5)
    other = write_run(study, "c", 0, settings={"objective": "clm"})
    probe(other, [flat(7)], text="f00d" * 8)
    few = write_run(study, "d", 0, settings={"objective": "clm"})
    probe(few, [flat(7)], layers=[2], wanted=(2,))
    comparison = compare([*runs, other, few])
    assert [*rows(comparison)] == ["a", "b"]
    [table] = tables(comparison)
    start = "left out, as they do not compare with these: upos"
    assert f"{start} of {NUM} sentences f00df00d (c)" in table.notes
    assert f"{start} of layers 2 (d)" in table.notes
    command = f"`lmcompare probe {other.path} {few.path} {OPTIONS}`"
    assert f"not probed in this way: {command}" in table.notes
    never = write_run(study, "e", 0, settings={"objective": "clm"})
    note = f"not probed: `lmcompare probe {never.path} --treebank en_toy-ud`"
    assert note in compare([*runs, never]).notes


def test_a_command_names_what_is_not_usual(study):
    runs = probed(study, "a", 0.5, probe="mlp", words="last", wanted=(0, 1, 2, 3))
    runs += probed(study, "b", 0.5, task="xpos", probe="mlp", words="last", wanted=(0, 1, 2, 3))
    [table] = tables(compare(runs))
    options = "--probe mlp --words last --layers 0,1,2,3`"
    command = f"`lmcompare probe {runs[0].path} --treebank en_toy-ud --tasks xpos {options}"
    assert f"not probed in this way: {command}" in table.notes


def test_models_that_know_fewer_words_are_told_of(study):
    runs = probed(study, "a", 0.5)
    short = write_run(study, "b", 0, settings={"objective": "clm"})
    probe(short, [some(0.9)[:50]], sentences=range(50), baselines={"majority": flat(1)[:50]})
    found = block(compare([*runs, short]))
    assert f"of fewer examples than the others, {50 * WORDS}: b" in found.notes
    assert found.rows[1].value.value == pytest.approx(some(0.9)[:50].sum() / 50 / WORDS)
    assert found.rows[1].above is None, "it has no baseline of types"
    assert found.rows[1].verdict == "wins"


def test_broken_items_are_an_error(study):
    run = write_run(study, "clm", 0)
    probe(run, [flat(3)], num_items=NUM + 1)
    with pytest.raises(UserError, match=f"has {NUM} lines about the {NUM + 1} sentences of upos"):
        compare([run])


def flags(study, score, **changes):
    run = write_run(study, "clm", 0)
    untrained = changes.pop("untrained", None)
    if untrained is not None:
        probe(run, untrained, step=0)
    probe(run, score, **changes)
    comparison = compare([run])
    found = {*rows(comparison)["clm"].flags}
    [table] = tables(comparison)
    for flag in found:
        assert any(note.startswith(f"{flag}: clm ") for note in block(comparison).notes)
        assert any(note.startswith(f"{flag}: ") for note in table.notes)
    return found


GOOD = [flat(3) + np.resize([0, 1], NUM), flat(5) + np.resize([0, 1, 1], NUM)]


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({}, None),
        ({"untrained": [flat(4), flat(4)]}, None),
        ({"untrained": [flat(7), flat(7)]}, "untrained beats trained"),
        ({"untrained": [GOOD[1], GOOD[1]]}, NO_GAIN),
        ({"control": [flat(1), flat(4)]}, None),
        ({"control": [flat(1), GOOD[1]]}, "control too high"),
        ({"control": [flat(1), flat(7)]}, "control too high"),
        ({"control": [flat(1), GOOD[1] - 0.1]}, "control too high"),
        ({"control": [flat(1), GOOD[1] - 0.2]}, None),
        ({"baselines": {"majority": flat(7), "type": flat(5)}}, None),
        ({"baselines": {"majority": flat(1), "type": flat(7)}}, "below type baseline"),
        ({"baselines": {"majority": flat(1), "type": GOOD[1]}}, "below type baseline"),
        ({"baselines": {"chain": flat(7)}}, "below chain baseline"),
        ({"baselines": {"first word": flat(7)}}, "below first word baseline"),
        ({"baselines": {"majority": flat(7)}}, "below majority baseline"),
        ({"baselines": {}}, None),
        ({"counts": {"sentences that the model was trained on": 3}}, "sentences were trained on"),
        ({"num_examples": 99}, "few examples"),
        ({"num_examples": 100}, None),
        ({"validation": (0.9, 0.1)}, "no gain over the embedding"),
        ({"validation": (0.9, 0.1), "layers": (1, 2)}, None),
    ],
)
def test_what_no_conclusion_can_rest_on_is_flagged(study, changes, flag):
    changes = {"baselines": {"type": flat(1)}, "validation": (0.1, 0.9)} | changes
    assert flags(study, GOOD, **changes) == ({flag} if flag else set())


@pytest.mark.parametrize(("num", "flag"), [(19, {"few examples"}), (20, set())])
def test_few_sentences_are_flagged(study, num, flag):
    found = flags(
        study,
        [each[:num] for each in GOOD],
        validation=(0.1, 0.9),
        baselines={"type": flat(1)[:num]},
    )
    assert found == flag


def test_one_layer_alone_is_no_embedding_to_gain_over(study):
    assert flags(study, [GOOD[1]], baselines={"type": flat(1)}) == set()


def test_the_cells_say_what_is_known(study):
    code = [(4000.0, 4500.0), (3000.0, 4000.0), (2500.0, 5000.0), (2600.0, 4900.0)]
    runs = probed(study, "a", 0.8, codelengths=code, unseen=(1, 2, 26.5, 3), probe="mdl")
    runs += probed(study, "b", 0.8, probe="mdl")
    probe(runs[0], [flat(2)] * 4, step=0, probe="mdl")
    found = block(compare(runs))
    assert found.subtitle == (
        "upos: the universal part of speech of a word. accuracy, 371 examples in 53 sentences "
        "beefbeef"
    )
    assert all(len(row) == len(SCORES) for row in found.scores)
    first, second, *anchors = found.scores
    assert re.fullmatch(r"8\d\.\d \[\d\d\.\d, \d\d\.\d\]|7\d\.\d \[\d\d\.\d, \d\d\.\d\]", first[1])
    assert first[2:] == ["reference", "", "2.0 of 3"]
    assert re.fullmatch(r"[+-]\d\.\d \[-?\d+\.\d, -?\d+\.\d\]", second[2])
    assert re.fullmatch(r"ties \d\.\d{3}", second[3])
    assert anchors == [["majority", "14.3", "", "", ""], ["type", "42.9", "", "", ""]]
    headings, cells = found.controls
    cells = dict(zip(headings, zip(*cells, strict=True), strict=True))
    assert headings == [
        *("arm", "selectivity", "above type", "unseen", "un-\ntrained", "center", "seeds"),
        *("compression", "of control"),
    ]
    assert cells["un-\ntrained"] == ("28.6", "—")
    assert cells["unseen"] == ("50.0", "—")
    assert cells["center"] == ("1.5", "1.5")
    assert cells["compression"] == ("2.00", "—")
    assert cells["of control"] == ("1.00", "—")


def test_what_no_arm_has_is_no_column(study):
    run = write_run(study, "clm", 0)
    probe(
        run,
        [flat(4)],
        task="tree-distance",
        group="structure",
        metric="UUAS",
        baselines={"chain": flat(3)},
    )
    assert block(compare([run])).controls[0] == ["arm", "above chain", "seeds"]


def test_differences_and_layers_stand_in_the_frame(study):
    runs = probed(study, "a", 0.5, 0.5, 0.5) + probed(study, "b", 0.9, 0.9, 0.9)
    comparison = compare(runs)
    frame = comparison.frame
    assert [*frame.columns] == [*COLUMNS]
    assert (str(frame.layer.dtype), str(frame.is_best.dtype)) == ("Int64", "boolean")
    scores = frame[(frame.metric == "upos accuracy") & (frame.seed == 1) & (frame.arm == "b")]
    assert [*scores.layer] == [0, 1, 2, 3]
    assert [*scores.is_best] == [False, False, True, False]
    [(_, row)] = frame[frame.metric == "upos accuracy difference"].iterrows()
    known = rows(comparison)["b"]
    assert (row.label, row.reference, row.verdict) == ("b", "a", "wins")
    assert (row.value, row.low, row.high) == (
        *(known.difference.value, known.difference.low, known.difference.high),
    )
    assert (row.group, row.probe, row.words, row.n, row.source) == (
        *("token", "linear", "mean", ALL, "en_toy-ud"),
    )
    assert pd.isna(row.states)
    assert pd.isna(row.layer)
    written = json.loads(FORMATS["json"](comparison))["tables"]["probes"][0]
    assert written["blocks"][0]["rows"][1]["verdict"] == "wins"
    assert written["blocks"][0]["rows"][1]["curve"][2]["layer"] == 2
    assert len(pd.read_csv(io.StringIO(FORMATS["csv"](comparison)))) == len(frame)
    assert not ProbeTables().is_ranked(tables(comparison))
    for layout in ("md", "tex"):
        text = FORMATS[layout](comparison)
        assert "wins <0.001" in text.replace("\\", "").replace("$", "") or "wins" in text
        assert "the universal part of speech" in text


def test_what_is_selected_is_compared_alone(study):
    runs = probed(study, "a", 0.5) + probed(study, "b", 0.9)
    for run in runs:
        probe(run, [flat(3)], task="Case", group="features")
        probe(run, [flat(2)], step=0)
    for words, tasks in {
        "upos": ["upos"],
        "probe": ["upos", "Case"],
        "features": ["Case"],
        "linear,mean": ["upos", "Case"],
        "probe=linear,trained": ["upos", "Case"],
    }.items():
        [table] = tables(compare(runs, only=[words]))
        assert [each.task for each in table.blocks] == tasks
        assert not any("not probed" in note for note in table.notes)
    assert rows(compare(runs, only=["upos,trained"]))["a"].untrained is None
    assert rows(compare(runs, only=["upos"]))["a"].untrained is not None


def test_few_seeds_speak_of_models_only(study):
    runs = probed(study, "a", 0.5) + probed(study, "b", 0.5, 0.6, 0.5)
    [table] = tables(compare(runs))
    [note] = [note for note in table.notes if note.startswith("fewer than 3 seeds")]
    assert note.endswith(": a")
    assert table.blocks[0].rows[1].test == "items"


def test_a_reference_that_was_not_probed_is_told_of(study):
    runs = [*probed(study, "a", 0.5), write_run(study, "b", 0, settings={"objective": "clm"})]
    found = block(compare(runs, reference="b"))
    assert found.notes == ["b was not probed here, so nothing is compared with it"]
    assert found.reference is None
