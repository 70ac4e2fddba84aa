"""An export that came back is measured as the run is: the same figures, item by item."""

from dataclasses import replace
from pathlib import Path

import pytest

from lmcompare.evaluation.generation.measure import measure_generation
from lmcompare.evaluation.generation.options import GenerationOptions
from lmcompare.evaluation.infilling.measure import measure_infilling
from lmcompare.evaluation.infilling.options import InfillingOptions
from lmcompare.evaluation.likelihood.measure import measure_likelihood
from lmcompare.evaluation.likelihood.options import LikelihoodOptions
from lmcompare.huggingface import load_hf
from lmcompare.runs.loaded_model import LoadedModel, load_model
from lmcompare.runs.results import Results
from lmcompare.runs.run import Run
from tests.huggingface import models  # without transformers, all is skipped

assert models


def both(run: Run, export: Path, folder: Path) -> tuple[LoadedModel, LoadedModel]:
    ours = load_model(run, device="cpu", warn=pytest.fail)
    theirs = load_hf(f"hf:{export}")
    apart = [replace(ours, results=Results(folder / name, run.record_file)) for name in "ab"]
    return apart[0], replace(apart[1], net=theirs.net, tokenizer=theirs.tokenizer)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["clm", "mlm"])
def test_the_same_figures(
    runs: dict[str, Run], exported: dict[str, Path], cache: Path, tmp_path: Path, name: str
) -> None:
    models = both(runs[name], exported[name], tmp_path)
    likelihood = LikelihoodOptions(max_bytes=300, device="cpu")
    infilling = InfillingOptions(num_texts=4, length=17, device="cpu")
    ours, theirs = (
        [
            *(each.bits_per_byte for each in measure_likelihood(model, likelihood, cache=cache)),
            *(each.bits_per_byte for each in measure_infilling(model, infilling, cache=cache)),
        ]
        for model in models
    )
    pairs = [pair for pair in zip(ours, theirs, strict=True) if pair != (None, None)]
    assert len(pairs) > 3
    for expected, found in pairs:
        assert found == pytest.approx(expected, rel=1e-5)
    options = GenerationOptions(num_texts=4, prompt_tokens=5, new_tokens=6, device="cpu")
    (ours_wrote,), (theirs_wrote,) = (
        measure_generation(model, options, cache=cache) for model in models
    )
    assert theirs_wrote.written == ours_wrote.written
    assert theirs_wrote.cost is not None
    assert theirs_wrote.cost.passes_per_token == ours_wrote.cost.passes_per_token
