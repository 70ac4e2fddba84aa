"""Texts while they are written, on a terminal: as they come, or played again from a trace."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Self

from rich.console import Group
from rich.live import Live
from rich.text import Text as Line

from lmcompare.blocks.visible import visible
from lmcompare_cli.console import glyphs, legible, output, printable, write

if TYPE_CHECKING:
    from lmcompare.data import Tokenizer
    from lmcompare.generation.generate import Sample
    from lmcompare.generation.trace import Piece, Start, Trace, WrittenStep
    from lmcompare.generation.trace_recorder import StateSpan

STYLES = {"given": "dim", "written": "bold", "fresh": "reverse green", "open": "magenta"}
FRAME = 1 / 30  # seconds that a picture stands at least
STEP = 0.15  # seconds that a step is shown when it is played again, unless there are many
LONGEST = 20.0  # seconds that a sample is played


def is_moving() -> bool:
    """Tell whether stdout is a terminal on which something can be drawn over."""
    return output.is_terminal and not output.is_dumb_terminal and output.file.isatty()


def write_sample(sample: "Sample", tokenizer: "Tokenizer") -> None:
    """Write a text: on a terminal with what was written set apart; elsewhere exactly the text."""
    if not output.is_terminal:
        output.file.write(printable(sample.text, output) + "\n")
        return
    for span in _parts(sample, tokenizer):
        write(span.text, STYLES[span.state])
    write("\n")


def _parts(sample: "Sample", tokenizer: "Tokenizer") -> "list[StateSpan]":
    from lmcompare.generation.trace_recorder import State, StateSpan, TokenText, join

    states: list[State] = ["written" if each else "given" for each in sample.is_written]
    spans = join(zip(TokenText(tokenizer).from_start(sample.tokens), states, strict=True))
    exact = "".join(span.text for span in spans) == sample.text
    return spans if exact else [StateSpan(sample.text, "written")]


class LiveText:
    """One text, written from left to right: each character as soon as it is sure.

    Args:
        stop: texts that it ends before, none of which may be seen to begin.
    """

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop, self._written, self._ended = stop, "", False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._written and not self._ended:
            write("\n")

    def hear(self, event: "Sequence[Start] | Sequence[WrittenStep]") -> None:
        """Show what `Recorder` tells."""
        from lmcompare.generation.trace import Start
        from lmcompare.generation.trace_recorder import Draft, join

        (each,) = event
        if isinstance(each, Start):
            self._draft = Draft(each)
        else:
            self._draft.put(each)
        tokens = [*takewhile(lambda token: token[0] is not None, self._draft.tokens())]
        written = [piece for piece, state in tokens if state != "given" and piece is not None]
        if self._stop:
            tokens = tokens[: len(tokens) - len(written) + _num_sure(written, self._stop)]
        spans = join([*tokens, (None, "open")])  # half a character is open too
        self._continue([span for span in spans if span.state != "open"])

    def end(self, sample: "Sample", tokenizer: "Tokenizer") -> None:
        """Write the rest, when all is known."""
        if not sample.text.startswith(self._written):  # what a decoder did with later tokens
            write("\n")
            self._written = ""
        self._continue(_parts(sample, tokenizer))
        write("\n")
        self._ended = True

    def _continue(self, spans: "Iterable[StateSpan]") -> None:
        end = 0  # of the spans so far, in characters
        for span in spans:
            new = span.text[max(len(self._written) - end, 0) :]
            end += len(span.text)
            if new:
                write(new, STYLES["given" if span.state == "given" else "written"])
                self._written += new


def _num_sure(pieces: "Sequence[Piece]", stop: Sequence[str]) -> int:
    """Count the tokens that surely stand before the first text to stop at."""
    from lmcompare.generation.trace_recorder import text_ends

    text, ends = text_ends(pieces)
    first = len(text)
    for each in stop:
        begun = (num for num in range(len(each), 0, -1) if text.endswith(each[:num]))
        found = text.find(each)
        first = min(first, found if found >= 0 else len(text) - next(begun, 0))
    return sum(end <= first for end in ends)


class LiveBatch:
    """All texts that are written together, with blocks for what is not written yet."""

    def __init__(self) -> None:
        self._live = Live(console=output, auto_refresh=False, transient=True)
        self._drawn = 0.0

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def hear(self, event: "Sequence[Start] | Sequence[WrittenStep]") -> None:
        """Show what `Recorder` tells."""
        from lmcompare.generation.trace import Start
        from lmcompare.generation.trace_recorder import Draft

        starts = [each for each in event if isinstance(each, Start)]
        if starts:
            self._drafts = {(start.prompt, start.number): Draft(start) for start in starts}
        for each in event:
            if not isinstance(each, Start):
                self._drafts[each.prompt, each.number].put(each)
        if starts or perf_counter() - self._drawn >= FRAME:
            self._drawn = perf_counter()
            lines = []
            for (prompt, number), draft in self._drafts.items():
                if len(self._drafts) > 1:
                    lines.append(Line(f"{prompt}.{number}", style="dim"))
                lines.append(_line(draft.spans()))
            self._live.update(Group(*lines), refresh=True)


def replay(path: Path, *, sample: str | None = None, speed: float = 1.0) -> None:
    """Play a trace on a terminal; elsewhere, a line for each step.

    Args:
        path: the file.
        sample: PROMPT.NUMBER of the one to show; all by default.
        speed: above 1 is faster.

    Raises:
        UserError: the file is not a trace, or has no such sample.
    """
    from lmcompare.generation.trace import Trace

    trace = Trace.read(path)
    chosen = [*_chosen(trace, sample, path)]
    for start, steps in chosen:
        if len(chosen) > 1:
            write(f"=== prompt {start.prompt}, sample {start.number} ===\n")
        if is_moving():
            _play(start, steps, speed)
        else:
            show_steps(start, steps)


def show_steps(start: "Start", steps: "Sequence[WrittenStep]") -> None:
    """Write a line for each step, with tabs: its number, the text by then, what was written."""
    from lmcompare.generation.trace_recorder import Draft

    draft = Draft(start)
    write(f"0\t{_line(draft.spans(), keep='').plain}\t\n")
    for step in steps:
        draft.put(step)
        if step is steps[-1]:
            draft.close()
        write(f"{step.step}\t{_line(draft.spans(), keep='').plain}\t{_tokens(start, step)}\n")


def _play(start: "Start", steps: "Sequence[WrittenStep]", speed: float) -> None:
    from lmcompare.generation.trace_recorder import Draft

    draft, pause = Draft(start), min(STEP, LONGEST / max(len(steps), 1)) / speed
    with Live(console=output, auto_refresh=False) as live:
        live.update(_line(draft.spans()), refresh=True)
        for step in steps:
            sleep(pause)
            draft.put(step)
            below = Line(f"\nstep {step.step} of {len(steps)}  {_tokens(start, step)}", style="dim")
            live.update(Group(_line(draft.spans()), below), refresh=True)
        sleep(pause)
        draft.close()
        below = Line(f"\n{len(steps)} steps", style="dim")
        live.update(Group(_line(draft.spans()), below), refresh=True)


def _chosen(
    trace: "Trace", sample: str | None, path: Path
) -> "Iterator[tuple[Start, list[WrittenStep]]]":
    from lmcompare.errors import UserError

    names = [f"{start.prompt}.{start.number}" for start, _ in trace.samples]
    if sample is not None and sample not in names:
        form = "" if re.fullmatch(r"\d+\.\d+", sample) else " (PROMPT.NUMBER, each from 0)"
        shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        raise UserError(f"{path} has no sample '{sample}'{form}: known: {shown}")
    for name, each in zip(names, trace.samples, strict=True):
        if sample in (None, name):
            yield each


def _line(spans: "Iterable[StateSpan]", *, keep: str = "\n\t") -> Line:
    block = glyphs().full
    return Line.assemble(
        *((_shown(each.text, keep) + block * each.num_open, STYLES[each.state]) for each in spans)
    )


def _tokens(start: "Start", step: "WrittenStep") -> str:
    """Return tokens as `7:▁list 0.41`, or `7:■` where one is taken back."""
    shown = []
    for index, number, piece, probability in zip(
        step.places, step.ids, step.pieces, step.probabilities, strict=True
    ):
        if number == start.ids[index]:
            shown.append(f"{index}:{glyphs().full}")
            continue
        text = (
            legible(piece)
            if isinstance(piece, str)
            else "".join(f"\\x{each:02x}" for each in piece)
        )
        shown.append(f"{index}:{text} {probability:.2f}")
    return "  ".join(shown)


def _shown(text: str, keep: str) -> str:
    return printable(visible(text, keep=keep), output)
