"""Which classes a probe takes for which."""

from collections.abc import Iterator, Sequence

from lmcompare.blocks import Block, Notes, Part, Table, names, numbers
from lmcompare.evaluation.probes.record import ProbeRecord
from lmcompare.runs.records import ResultRecord
from lmcompare.runs.run import Run

MOST = 10  # pairs of classes of each result


def confusion_blocks(results: Sequence[tuple[Run, ResultRecord]]) -> Iterator[Block]:
    """Yield, for each trained model and task, the pairs of classes that are confused most often."""
    for run, record in results:
        if not isinstance(record, ProbeRecord) or record.is_untrained or not record.confusion:
            continue
        off = sorted(
            (
                (num, true, said)
                for true, row in enumerate(record.confusion)
                for said, num in enumerate(row)
                if num and true != said
            ),
            key=lambda each: (-each[0], each[1:]),
        )
        of_class = [sum(row) for row in record.confusion]
        yield Table(
            columns=[*names("is", "taken for"), *numbers("times", "of its class")],
            parts=[
                Part(
                    title=f"{record.task}, {run.path.name}",
                    subtitle=f"layer {record.best.layer}",
                    rows=[
                        [
                            record.classes[true],
                            record.classes[said],
                            f"{num:,}",
                            f"{num / of_class[true]:.1%}",
                        ]
                        for num, true, said in off[:MOST]
                    ],
                )
            ],
        )
        if not off:
            yield Notes([f"{record.task}, {run.path.name}: no class is taken for another"])
