"""The tables of attention in a comparison, and the picture of all heads."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from lmcompare import files
from lmcompare.blocks import Block, Column, Notes, Part, Table, names, numbers
from lmcompare.comparison.arms import Arm
from lmcompare.comparison.figures.attention_heads import draw_heads
from lmcompare.comparison.figures.drawing import can_draw
from lmcompare.comparison.tables.attention import (
    AttentionTable,
    HeadsOfArm,
    HeadsTable,
    LayerMeans,
    RelationRow,
    RelationsTable,
    half_of,
    percent,
    with_half,
)
from lmcompare.comparison.tables.attention_results import attending, heads_table, relations_table
from lmcompare.comparison.tables.base import ResultTables
from lmcompare.evaluation.attention.kind import LEFT_ONLY, NO_EXPLANATION, SHOWN
from lmcompare.evaluation.attention.metrics import METRICS
from lmcompare.evaluation.attention.record import AttentionRecord
from lmcompare.evaluation.metric import MISSING

SHARES = ("left", "right", "self", "first")
HOW_MEANT = (
    "nats: the entropy of a head's weights; of max: in percent of that of equal weights, which of "
    "a model that sees less is lower. distance: tokens. left, right, self: percent of the weight "
    "on each side and on the token itself; first: on the start token, which is on the left, too. "
    "Means over heads, texts and seeds, with 95% intervals over texts and, of three seeds or more, "
    "over seeds. start: the models as they started, all layers."
)
HOW_FOLLOWED = (
    "accuracy: percent of words that attend most, of all other words, to their syntactic head, or "
    "to one of their dependents by this relation (dep.); of both directions the one that exceeds "
    "the offset by more, in the sentences for the choice. head: layer and head of each seed. "
    "offset: the best fixed place before or after a word. beyond: accuracy less that. Heads, "
    "offsets and directions are chosen on the train and dev sentences, and scored on the test "
    "sentences. untrained: the best head of the models as they started, chosen anew. 95% intervals "
    "over sentences and, of three seeds or more, over seeds, not corrected for many comparisons."
)


class AttentionTables(ResultTables[AttentionTable]):
    """A table for each text on which heads were measured, and for each treebank."""

    key = "attention"
    record = AttentionRecord
    lacks = "attention not measured"

    def tables(
        self, arms: Sequence[Arm], frame: pd.DataFrame, *, reference: str | None
    ) -> Sequence[AttentionTable]:
        return [
            heads_table(about, found) if about.task == "heads" else relations_table(about, found)
            for about, found in attending(arms).items()
        ]

    def blocks(self, tables: Sequence[AttentionTable]) -> Iterator[Block]:
        heads = [each for each in tables if isinstance(each, HeadsTable)]
        relations = [each for each in tables if isinstance(each, RelationsTable)]
        for table in heads:
            yield _of_heads(table)
        if heads:
            yield Notes([HOW_MEANT])
        for each in relations:
            yield from _of_relations(each)
        if relations:
            sees = [row.sees_right for each in relations for own in each.blocks for row in own.rows]
            yield Notes([HOW_FOLLOWED, *([] if all(sees) else [f"{LEFT_ONLY}."])])
        if tables:
            yield Notes([NO_EXPLANATION])

    def notes(
        self, arms: Sequence[Arm], tables: Sequence[AttentionTable], *, reference: str | None
    ) -> Iterator[str]:
        if tables and not can_draw():
            yield "no picture of heads: it needs pip install 'lmcompare[plots]'"

    def rows(
        self, tables: Sequence[AttentionTable], arms: Mapping[str, Arm]
    ) -> Iterator[dict[str, object]]:
        for table in tables:
            for block in table.blocks if isinstance(table, RelationsTable) else ():
                for row in block.rows:
                    yield arms[row.arm].columns | {
                        "metric": f"{block.relation} {row.direction} beyond offset",
                        "source": table.source,
                        "text": table.text,
                        "states": row.label.removeprefix(row.arm).strip() or None,
                        "value": row.beyond.value,
                        "unit": "difference of shares",
                        "low": row.beyond.low,
                        "high": row.beyond.high,
                        "n": row.num_cases,
                    }

    def pictures(self, tables: Sequence[AttentionTable]) -> Iterator[tuple[str, bytes]]:
        for table in tables:
            if isinstance(table, HeadsTable):
                yield f"attention-{files.name_of(table.name)}", draw_heads(table)


def _of_heads(table: HeadsTable) -> Table:
    headings = ("nats", *(METRICS[each].heading for each in ("entropy_share", "distance", *SHARES)))
    return Table(
        columns=[*names("layer"), *numbers(*headings)],
        parts=[
            Part(
                title=table.title,
                subtitle=arm.subtitle,
                rows=[*(_layer(each) for each in arm.layers), *_untrained(arm)],
                anchors=1 if arm.untrained else 0,
            )
            for arm in table.arms
        ],
    )


def _layer(layer: LayerMeans) -> list[str]:
    distance = layer.means["distance"]
    shares = (layer.means[name] for name in ("entropy_share", *SHARES))
    first, *others = (percent(each.mean, each.half_width) for each in shares)
    return [
        str(layer.layer),
        METRICS["entropy"].shown(layer.means["entropy"].mean),
        first,
        with_half(distance.mean, distance.half_width),
        *others,
    ]


def _untrained(arm: HeadsOfArm) -> Iterator[list[str]]:
    """Yield one row: the mean over all layers before training."""
    if arm.untrained:
        order = ("entropy", "entropy_share", "distance", *SHARES)
        cells = []
        for name in order:
            mean = sum(each.means[name].mean for each in arm.untrained) / len(arm.untrained)
            cells.append(METRICS[name].shown(mean))
        yield ["start", *cells]


def _of_relations(table: RelationsTable) -> Iterator[Block]:
    columns = [
        *names("arm", "to"),
        Column("head", "name"),
        *numbers("accuracy", "offset", "beyond", "un-\ntrained"),
    ]
    parts = [
        Part(
            title=table.title,
            subtitle=f"{block.relation}, {max(row.num_cases for row in block.rows):,} words",
            rows=[_followed(row) for row in block.rows if row.is_shown],
        )
        for block in table.blocks[:SHOWN]
    ]
    if parts:
        yield Table(columns=columns, parts=parts)
    yield Notes(table.notes)


def _followed(row: RelationRow) -> list[str]:
    heads = dict.fromkeys(f"{layer}-{head}" for layer, head in row.heads)
    return [
        row.label,
        {"to head": "head", "to dependent": "dep."}[row.direction],
        " ".join(heads) if len(row.heads) <= 3 else f"{len(heads)} heads",
        percent(row.value.value, half_of(row.value)),
        f"{100 * row.offset_value.value:.1f}",
        percent(row.beyond.value, half_of(row.beyond), sign="+"),
        MISSING if row.untrained is None else f"{100 * row.untrained.value:.1f}",
    ]
