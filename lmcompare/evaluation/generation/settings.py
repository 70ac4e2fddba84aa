"""What is to be written behind prompts, in which ways, and whether runs can be asked for it."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from lmcompare.errors import UserError, did_you_mean
from lmcompare.evaluation.generation.judge import Judge
from lmcompare.evaluation.generation.options import GenerationOptions
from lmcompare.objectives import Objective
from lmcompare.objectives.decoding.fill_request import DecodingMethod
from lmcompare.objectives.decoding.sampler import Sampler, make_sampler
from lmcompare.runs.origin import trained
from lmcompare.runs.run import Run


def ways_to_write(options: GenerationOptions, objective: Objective) -> list[tuple[str, Sampler]]:
    """Return all that an objective is asked to do: methods of its own, each with its settings.

    Raises:
        Unsupported: it has none of the methods.
    """
    decoding_methods = objective.decoding_methods
    usual = partial(
        objective.choose_decoding_method, sampler=Sampler(), holes="end", any_length=False
    )
    methods = [each for each in dict.fromkeys(options.methods) if each in decoding_methods]
    if not methods:
        methods = [usual(options.methods[0] if options.methods else None)]
    return [
        (usual(method), sampler)
        for method in methods
        for sampler in _samplers(options, decoding_methods[method])
    ]


def _samplers(options: GenerationOptions, filling: DecodingMethod) -> list[Sampler]:
    useful = filling.settings
    all_steps: Sequence[int | None] = options.steps if "steps" in useful else ()
    swept = (
        Sampler(
            **{
                name: value
                for name, value in (
                    ("temperature", temperature),
                    ("steps", steps),
                    ("top_p", options.top_p),
                )
                if value is not None and name in useful
            }
        )
        for temperature in options.temperatures
        for steps in all_steps or (None,)
    )
    obeyed = (sampler for sampler in options.decodings if not filling.idle(sampler))
    return list(dict.fromkeys([*swept, *obeyed]))


def require(
    runs: Sequence[Run],
    options: GenerationOptions,
    *,
    judge: Judge | None,
    warn: Callable[[str], None] = lambda text: None,
) -> None:
    """Make sure that all of these runs can be asked, before any is.

    Args:
        runs: at least one.
        options: what is to be written.
        judge: who judges it.
        warn: told of what speaks against the judge.

    Raises:
        UserError: as `require_of`; or settings or a method of use to none of the runs.
    """
    require_settings(options)
    configs = [run.record().config for run in runs]
    for run, config in zip(runs, configs, strict=True):
        require_of(run.path, config.batch.length, options, judge=judge)
    objectives = [config.objective for config in configs]
    known = {name: how for each in objectives for name, how in each.decoding_methods.items()}
    for method in options.methods:
        if method not in known:
            raise UserError(f"none of the runs writes by '{method}': {did_you_mean(method, known)}")
    decoding_methods = [
        objective.decoding_methods[method]
        for objective in objectives
        for method in options.methods or [*objective.decoding_methods][:1]
        if method in objective.decoding_methods
    ]
    useful = {name for filling in decoding_methods for name in filling.settings}
    for name, given in (("steps", options.steps), ("top_p", options.top_p)):
        if given and name not in useful:
            raise UserError(
                f"no run has use of `{name}=` in its way to write: leave it out, "
                f"or choose another `method=` ({', '.join(known)})"
            )
    for sampler in options.decodings:
        if all(filling.idle(sampler) for filling in decoding_methods):
            raise UserError(
                f"no run writes in a way that has use of {' and '.join(sampler.in_words)}: leave "
                f"it out, or choose another `method=` ({', '.join(known)})"
            )
    for doubt in judge.doubts([trained(run) for run in runs]) if judge is not None else ():
        warn(doubt)


def require_of(path: Path, length: int, options: GenerationOptions, *, judge: Judge | None) -> None:
    """Make sure that a model can be asked.

    Args:
        path: what it is called.
        length: how many tokens the rows had that it was trained on.
        options: what is to be written.
        judge: who judges it.

    Raises:
        UserError: rows that were too short; a model that is the judge.
    """
    if judge is not None and path.resolve() == judge.model.path.resolve():
        raise UserError(
            f"the judge {path} is one of the runs that are judged, and would favour itself: "
            "name another run, or leave it out of the others"
        )
    wanted = 1 + options.prompt_tokens + options.new_tokens
    if wanted > length:
        raise UserError(
            f"{path} was trained on rows of {length} tokens, and {options.prompt_tokens} "
            f"of a prompt, {options.new_tokens} new ones and the start token are {wanted}: "
            "choose fewer (`prompt_tokens=`, `new_tokens=`)"
        )


def require_settings(options: GenerationOptions) -> None:
    """Make sure that settings make sense, whatever the model.

    Raises:
        UserError: they do not.
    """
    for name, value in (
        ("prompt_tokens", options.prompt_tokens),
        ("new_tokens", options.new_tokens),
    ):
        if value < 1:
            raise UserError(f"{value} is no number of tokens: choose `{name}=1` or more")
    swept: tuple[dict[str, Any], ...] = (
        *({"temperature": each} for each in options.temperatures),
        *({"steps": each} for each in options.steps),
        {"top_p": options.top_p},
    )
    for settings in swept:
        make_sampler(settings)
