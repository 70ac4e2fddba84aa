"""The model card of an exported run: what it is, what was held equal, and how to read it."""

import json
from collections.abc import Iterable, Mapping, Sequence

from pydantic import BaseModel
from tabulate import tabulate

from lmcompare.blocks.markdown import escape
from lmcompare.data import Tokenizer
from lmcompare.evaluation.infilling.record import InfillingRecord
from lmcompare.evaluation.likelihood.record import LikelihoodRecord
from lmcompare.huggingface.mapping import HfModel
from lmcompare.runs.records import CheckpointRecord, ControlSheet, RunRecord

MISSING = "—"


def model_card(
    record: RunRecord,
    *,
    checkpoint: CheckpointRecord,
    likelihoods: Iterable[LikelihoodRecord],
    infillings: Iterable[InfillingRecord],
    hf_model: HfModel,
    tokenizer: Tokenizer,
    name: str,
    finished: bool = True,
) -> str:
    """Return the card in Markdown, with the front matter that the Hugging Face Hub reads.

    No licence is named: which one the weights may have depends on the text, which we do not know.

    Args:
        record: of the run.
        checkpoint: of the state that is exported.
        likelihoods: measured of the run; those of another state are left out.
        infillings: the same of hidden tokens.
        hf_model: what the network is to transformers.
        tokenizer: of the run.
        name: of the folder.
        finished: whether the run is.
    """
    objective = record.config.objective.name
    steps = checkpoint.spent.steps
    likelihoods = [each for each in likelihoods if each.step == steps]
    infillings = [each for each in infillings if each.step == steps]
    parts = [
        _front_matter(hf_model, objective),
        f"# {escape(record.arm)}, seed {record.config.seed}",
        f"A language model of {record.num_parameters:,} parameters, trained with the objective "
        f"`{objective}` by lmcompare, which trains models that differ in nothing but their "
        "objective. It was trained to be compared with others, not to be used.",
        _loading(hf_model, name),
        "## Training\n\n" + _bullets(_training(record, checkpoint, tokenizer, finished=finished)),
        "## Results\n\n" + _results(checkpoint, likelihoods, infillings),
        _control_sheet(record.sheet),
        "## To be read with it\n\n" + _caveats(record, hf_model, tokenizer),
        _folded("The configuration in full", record.config.model_dump_json(indent=2), "json"),
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(hf_model: HfModel, objective: str) -> str:
    tags = "".join(f"\n- {json.dumps(tag)}" for tag in ("lmcompare", objective))
    return f"---\nlibrary_name: transformers\npipeline_tag: {hf_model.pipeline}\ntags:{tags}\n---"


def _loading(hf_model: HfModel, name: str) -> str:
    path = json.dumps(name, ensure_ascii=False)
    return f"""\
## Loading

```python
from transformers import {hf_model.auto_class}, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained({path})
model = {hf_model.auto_class}.from_pretrained({path})
```

It is a `{hf_model.name}` for transformers {hf_model.since} or later;
`pipeline("{hf_model.pipeline}", model={path})` runs it."""


def _training(
    record: RunRecord, checkpoint: CheckpointRecord, tokenizer: Tokenizer, *, finished: bool
) -> Mapping[str, str]:
    config, spent = record.config, checkpoint.spent
    share = config.budget.progress(spent)
    ended = "spent" if share >= 1 else f"of which {share:.0%} were spent"
    if share < 1:
        ended += ", a checkpoint on the way" if finished else ": the run is not finished"
    libraries = [f"{name} {version}" for name, version in record.versions.items()]
    commit = f", commit {record.git_commit}" if record.git_commit else ""
    phases = [f"{100 * each.share:g}% {_settings(each.objective)}" for each in config.phases]
    return {
        "objective": "; then ".join(phases) if config.phase else _settings(config.objective),
        "started from": _started_from(record),
        "training text": f"{record.text}, {record.sheet.text[:8]}",
        "tokenizer": f"{tokenizer.vocab.size:,} ids, {record.sheet.tokenizer[:8]}",
        "backbone": _settings(config.model),
        "budget": f"{config.budget}, {ended}",
        "spent": f"{spent.steps:,} steps, {spent.tokens:,} tokens, {spent.targets:,} targets, "
        f"{spent.flops:.3g} FLOPs, {spent.seconds:,.0f} seconds",
        "batch": _settings(config.batch),
        "optimizer": _settings(config.optimizer),
        "precision": f"{record.precision}; the weights here are float32",
        "device": f"{record.device}, {record.threads} threads",
        "versions": ", ".join(libraries) + commit,
        "started": record.created,
    }


def _started_from(record: RunRecord) -> str:
    start = record.start
    if start is None:
        return "new weights"
    weights, spent = f"weights trained by {start.trained_by}, {start.weights[:8]}", start.spent
    if spent is None:
        return f"{weights}; it is not known what that took"
    return (
        f"{weights}, which took {spent.tokens:,} tokens, {spent.targets:,} targets and "
        f"{spent.flops:.3g} FLOPs before"
    )


def _settings(config: BaseModel) -> str:
    """Return all settings, a `name` or `preset` first and alone."""
    settings = config.model_dump(mode="json")
    first = [settings.pop(key) for key in ("name", "preset") if key in settings]
    shown = (
        f"{key} {value if isinstance(value, str) else json.dumps(value)}"
        for key, value in settings.items()
    )
    return ", ".join([*first, *shown])


def _results(
    checkpoint: CheckpointRecord,
    likelihoods: Sequence[LikelihoodRecord],
    infillings: Sequence[InfillingRecord],
) -> str:
    loss = "none was measured"
    if checkpoint.validation is not None:
        loss = f"{checkpoint.validation:.4f} nats a target"
    parts = [f"Loss on the validation split: {loss}. Losses of unlike objectives do not compare."]
    if likelihoods:
        parts += [
            _table(
                ["scoring", "kind", "text", "window, stride"],
                [
                    [each.scoring, each.likelihood, _text(each), f"{each.window}, {each.stride}"]
                    for each in likelihoods
                ],
                likelihoods,
            ),
            "Exact: the model's own probability of the text. Bound: a limit on it. Pseudo: a score "
            "that is not a probability of the text. Unlike kinds do not compare.",
        ]
    else:
        parts.append("No likelihood was measured: `lmcompare eval` does.")
    if infillings:
        parts += [
            _table(
                ["length", "asked", "hidden", "scoring", "kind", "text"],
                [
                    [
                        each.form or MISSING,
                        each.protocol or MISSING,
                        each.hidden + (", left side given" if each.left_only else ""),
                        each.scoring or MISSING,
                        each.likelihood or MISSING,
                        _text(each),
                    ]
                    for each in infillings
                ],
                infillings,
            ),
            "Hidden tokens of a text, given the rest of it or, where that is said, only what is "
            "before them. Told the length of each hole, or not and then with their ends; "
            "unlike ways to ask do not compare.",
            *(
                f"{MISSING} {', '.join(filter(None, [each.hidden, each.form, each.protocol]))}: "
                f"{escape(each.reason)}"
                for each in infillings
                if each.reason
            ),
        ]
    return "\n\n".join(parts)


def _table(
    headers: Sequence[str],
    words: Iterable[Sequence[str]],
    results: Iterable[LikelihoodRecord | InfillingRecord],
) -> str:
    rows = []
    for said, each in zip(words, results, strict=True):
        bits = (each.bits_per_byte, each.bits_per_token, each.unigram_bits_per_byte)
        rows.append([*said, *(MISSING if value is None else f"{value:.4f}" for value in bits)])
    return tabulate(
        rows,
        headers=[*headers, "bits/byte", "bits/token", "unigram bits/byte"],
        tablefmt="pipe",
        colalign=["left"] * len(headers) + ["right"] * 3,
        disable_numparse=True,
    )


def _text(result: LikelihoodRecord | InfillingRecord) -> str:
    return f"{escape(result.source)} {result.text[:8]}"


def _control_sheet(sheet: ControlSheet) -> str:
    facts = {words: f"`{getattr(sheet, fact)}`" for fact, words in ControlSheet.FACTS.items()} | {
        "initial weights": f"{len(sheet.weights)} parameters"
    }
    weights = "\n".join(f"{value} {name}" for name, value in sheet.weights.items())
    return (
        "## Control sheet\n\nHashes of what is held equal between models that are compared. Where "
        "the cards of two with one seed differ here, more than their objectives did.\n\n"
        f"{_bullets(facts, plain=True)}\n\n{_folded('The initial weights, one by one', weights)}"
    )


def _caveats(record: RunRecord, hf_model: HfModel, tokenizer: Tokenizer) -> str:
    bos, eos = tokenizer.pieces([tokenizer.vocab.bos, tokenizer.vocab.eos])
    packed = f"Rows of training held several documents, `{eos}` between them"
    packed += ", hidden from each other." if record.config.batch.separate_documents else "."
    lines = [
        f"The tokenizer puts `{bos}` before a text, as every row of training began with it. "
        f"{packed}",
        f"No position beyond {record.config.batch.length} was ever trained.",
        f"Text that spells a special token, such as `{bos}`, is taken for that token. In training "
        "it was text; `split_special_tokens=True` takes it so.",
        hf_model.caveat,
        *filter(None, [record.config.objective.hf_note]),
        "No licence is named here: it depends on the rights in the training text.",
    ]
    return "\n".join(f"- {line}" for line in lines)


def _bullets(facts: Mapping[str, str], *, plain: bool = False) -> str:
    return "\n".join(f"- {name}: {text if plain else escape(text)}" for name, text in facts.items())


def _folded(title: str, content: str, language: str = "") -> str:
    return f"<details>\n<summary>{title}</summary>\n\n```{language}\n{content}\n```\n\n</details>"
