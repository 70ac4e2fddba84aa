"""Measuring the geometry of a model's states, and of the same model as it started."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from lmcompare.errors import UserError
from lmcompare.evaluation.geometry.options import GeometryOptions
from lmcompare.evaluation.geometry.record import GeometryItem, GeometryRecord, LayerGeometry
from lmcompare.evaluation.geometry.shape import Shape, shape_of
from lmcompare.evaluation.kind import Context, Report, not_measured_again
from lmcompare.evaluation.states.reading import Reading, ways_to_read
from lmcompare.evaluation.states.word_states import mean_of, states
from lmcompare.evaluation.states.words import Words
from lmcompare.runs.loaded_model import LoadedModel, load_model, untrained
from lmcompare.runs.run import Run

VERSION = 1  # of the figures; raise it whenever the same states would give others


def measure_geometry(
    run: Run, words: Words, options: GeometryOptions, context: Context, report: Report
) -> list[GeometryRecord]:
    """Measure a run's model, and keep what that gives; what was measured before is not again.

    Raises:
        UserError: no checkpoint, no such layer, too little disk, or states that are no numbers.
    """
    if len(words.sentences) < 2:
        raise UserError(
            f"{words.source} gives one text alone, and words of different ones are compared: "
            "choose another text (`data=`, `split=`) or more words (`num_words=`)"
        )
    model = load_model(run, device=options.device, batch_size=options.batch_size, warn=context.warn)
    models = [model, *(untrained(model) if options.untrained else [])]
    return [
        _measured(each, reading, words, options, context, report)
        for each in models
        for reading in ways_to_read(each, options.stack)
    ]


def _measured(
    model: LoadedModel,
    reading: Reading,
    words: Words,
    options: GeometryOptions,
    context: Context,
    report: Report,
) -> GeometryRecord:
    facts: Mapping[str, Any] = {
        **{"source": words.source, "text": words.hash, "step": model.step, "version": VERSION},
        **{"words": options.words, "wanted": options.layers, "states_of": reading.name or None},
    }
    for known in not_measured_again(
        model.results, GeometryRecord, facts, again=options.again, warn=context.warn
    ):
        return known
    what = f"states{' untrained' if not model.step else ''} {reading.name}".rstrip()
    with states(
        model,
        words,
        reading,
        layers=options.layers or None,
        words=options.words,
        cache=context.cache,
        disk_gb=options.disk_gb,
        report=lambda share: report(what, share),
    ) as found:
        assert found.known.all(), "words were chosen such that every run reads them"
        shapes = {
            layer: shape_of(partial(found.blocks, layer), mean_of(found, layer)[0], words.first)
            for layer in found.layers
        }
    record = GeometryRecord(
        **facts,
        arm=model.arm,
        seed=model.seed,
        width=found.width,
        num_words=words.num_words,
        num_texts=len(words.sentences),
        layers=tuple(_layer(layer, shape) for layer, shape in shapes.items()),
    )
    items = (
        GeometryItem(layer=layer, spectrum=tuple(shape.spectrum.tolist()))
        for layer, shape in shapes.items()
    )
    return model.results.write(record, items)


def _layer(number: int, shape: Shape) -> LayerGeometry:
    figures = asdict(shape)
    del figures["spectrum"]
    return LayerGeometry(layer=number, **figures)
