"""The pictures of a report that are of no table: curves of training, and who sees whom."""

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from lmcompare.comparison.arms import Arm
from lmcompare.comparison.figures.learning_curves import SPENT
from lmcompare.comparison.figures.training_curves import WHAT, curves_of, draw, with_points
from lmcompare.comparison.figures.views import described, draw_view
from lmcompare.errors import UserError
from lmcompare.evaluation.metric import short
from lmcompare.runs.curve_groups import cautions
from lmcompare.runs.curves import AXES, Axis, Curve, LearnedMetric
from lmcompare.teaching import SENTENCE
from lmcompare.teaching.views import views_of

SHOWN: tuple[LearnedMetric, ...] = ("common", "validation")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A picture, and what stands for it where it is not seen."""

    svg: bytes
    alt: str
    caption: str = ""

    @property
    def base64(self) -> str:
        """Return the picture as a data URL holds it."""
        return b64encode(self.svg).decode()


@dataclass(frozen=True, kw_only=True)
class FigureChoice:
    """Figures of which a reader sees the one that is chosen."""

    id: str
    question: str
    figures: Sequence[tuple[str, Figure]]


def curves(arms: Sequence[Arm]) -> Iterator[FigureChoice]:
    """Yield the curves of each metric that was logged, against all that is spent."""
    every = curves_of(arms)
    results = [result for arm in arms for result in arm.results]
    lost = [f"not drawn: {each.curve}" for each in results if isinstance(each.curve, UserError)]
    for metric in SHOWN:
        if found := with_points(every, metric):
            what = f"{WHAT[metric][0].upper()}{WHAT[metric][1:]}"
            drawn = [each for own in found.values() for each in own]
            caption = "; ".join([*cautions(drawn, metric), *lost])
            yield FigureChoice(
                id=f"curves-{metric}",
                question=f"{what}, against",
                figures=[
                    (
                        SPENT[axis],
                        Figure(
                            svg=draw(found, metric, axis),
                            alt=f"{what} against {SPENT[axis]}: {_ends(found, metric, axis)}",
                            caption=caption,
                        ),
                    )
                    for axis in AXES
                ],
            )


def _ends(curves: Mapping[str, Sequence[Curve]], metric: LearnedMetric, axis: Axis) -> str:
    """Return where the curves end, in words."""
    found = []
    for label, own in curves.items():
        last = [curve.points(metric)[-1] for curve in own]
        value, spent = fmean(each.value for each in last), fmean(each.on(axis) for each in last)
        found.append(f"{label} ends at {value:.3f} after {short(spent)}")
    return "; ".join(found)


def views(arms: Sequence[Arm]) -> Iterator[Figure]:
    """Yield what each objective makes of a sentence, as the first arm's tokenizer cuts it."""
    objectives = {arm.objective: arm.results[0].record.config.objective for arm in arms}
    try:
        tokenizer = arms[0].results[0].run.tokenizer()
        found = views_of(SENTENCE, [*objectives.values()], tokenizer)
    except UserError:  # the tokenizer is of another script, or damaged: the tables are not
        return
    for number, view in enumerate(found.views):
        yield Figure(
            svg=draw_view(view, id=f"sees-{number}", styled=False).encode(),
            alt=described(view),
            caption=" ".join([f"{view.name}: sees {view.attention}.", *view.notes]),
        )
