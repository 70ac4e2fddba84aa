"""A kind of evaluation outside the package: are rare tokens those that a model finds improbable?"""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy.stats import spearmanr

from lmcompare.blocks import Block, Part, Table, names, numbers
from lmcompare.evaluation import heldout_text
from lmcompare.evaluation.kind import Context, EvaluationKind, Report, Step, not_measured_again
from lmcompare.evaluation.metric import Measurement, Metric
from lmcompare.evaluation.options import EvalOptions
from lmcompare.evaluation.span_scoring import Span, choose_scoring, score_spans
from lmcompare.runs.loaded_model import load_model
from lmcompare.runs.records import ResultRecord
from lmcompare.runs.run import Run


class RarityOptions(EvalOptions):
    """How many documents are asked about."""

    kind: ClassVar[str] = "tests.evaluation.toy:RarityKind"
    name: ClassVar[str] = "rarity"
    heading: ClassVar[str] = "Rarity"
    about: ClassVar[str] = "rare tokens"
    in_all: ClassVar[bool] = False

    documents: int = Field(20, description="How many documents are scored.")


class RarityRecord(ResultRecord):
    """`eval/rarity-*.json`: how the bits of documents go with the rarity of their tokens."""

    prefix: ClassVar[str] = "rarity"

    task: str = "rarity"
    scoring: str
    correlation: float  # Spearman's, over documents
    num_documents: int

    @property
    def stem(self) -> str:
        return f"rarity-{self.source}-{self.text[:8]}"

    @property
    def named_by(self) -> Mapping[str, object]:
        return {"scoring": self.scoring}

    @property
    def conditions(self) -> Mapping[str, object]:
        return {"documents": self.num_documents}

    @property
    def question(self) -> tuple[object, ...]:
        return self.task, self.source

    @property
    def headline(self) -> tuple[float, str]:
        return self.correlation, "Spearman's rho"


class RarityItem(BaseModel):
    """A line of `eval/rarity-*.jsonl`: one document."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    document: int
    bits: float
    unigram_bits: float


CORRELATION = Metric(
    name="rarity_correlation",
    heading="rho",
    lowest=-1.0,
    highest=1.0,
    better="higher",
    pattern="+.2f",
)


class RarityKind(EvaluationKind[RarityRecord, RarityOptions]):
    """The rank correlation of a document's bits with those by the frequencies of its tokens."""

    record = RarityRecord
    options = RarityOptions

    def steps(
        self, runs: Sequence[Run], options: RarityOptions, context: Context
    ) -> Sequence[Step]:
        def measure(run: Run, report: Report) -> Sequence[RarityRecord]:
            return [_measured(run, options, context, report)]

        return [Step(name=self.name, measure=measure)]

    def measurements(self, run: Run, record: RarityRecord) -> Iterator[Measurement]:
        yield Measurement(
            metric=CORRELATION,
            value=record.correlation,
            num=record.num_documents,
            columns=record.model_dump(include={"source", "text", "step", "scoring"}),
        )

    def page(self, results: Sequence[tuple[Run, RarityRecord]]) -> Sequence[Block]:
        rows = [[run.path.name, CORRELATION.shown(each.correlation)] for run, each in results]
        return [Table(columns=[*names("run"), *numbers("rho")], parts=[Part(rows=rows)])]

    def facts(self, records: Sequence[RarityRecord]) -> Mapping[str, str | None]:
        texts = {f"{each.source} {each.text[:8]}" for each in records}
        return {"documents of rarity": " and ".join(sorted(texts)) or None}


def _measured(run: Run, options: RarityOptions, context: Context, report: Report) -> RarityRecord:
    model = load_model(run, device=options.device, warn=context.warn)
    found = heldout_text.documents(model, options, cache=context.cache, warn=context.warn)
    documents = [document for document, _ in zip(found, range(options.documents), strict=False)]
    facts = {
        "source": options.source,
        "text": heldout_text.digest(document.ids for document in documents),
        "step": model.step,
    }
    for known in not_measured_again(
        model.results, RarityRecord, facts, again=options.again, warn=context.warn
    ):
        return known
    unigram = heldout_text.unigram_nats(model.origin, model.tokenizer)
    spans = [Span(text=model.tokenizer.decode(document.ids.tolist())) for document in documents]
    scoring = choose_scoring(model, spans)
    nats = [each.nats for each in score_spans(model, spans, scoring)]
    rare = [float(unigram[document.ids].sum()) for document in documents]
    report(scoring, 1.0)
    record = RarityRecord(
        **facts,
        arm=model.arm,
        seed=model.seed,
        scoring=scoring,
        correlation=float(spearmanr(nats, rare).statistic),
        num_documents=len(documents),
    )
    items = (
        RarityItem(document=number, bits=one / np.log(2), unigram_bits=two / np.log(2))
        for number, (one, two) in enumerate(zip(nats, rare, strict=True))
    )
    return model.results.write(record, items)
