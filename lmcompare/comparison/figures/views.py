"""One text under several objectives as a picture: a panel for each, in SVG.

It is built as a tree of XML, so that no text can be taken for more than it is. Its colours are
attributes, which a style sheet of its own turns for dark screens alone: what reads no style sheets
draws it in light. Nothing is told by colour alone: what is seen is a square, what is not a dot.
"""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from textwrap import wrap
from xml.etree.ElementTree import Element, SubElement, tostring

from lmcompare.blocks.visible import columns_of, legible, shortened
from lmcompare.comparison.figures.drawing import GREY, LOOKS, UNKNOWN
from lmcompare.teaching.slots import Slot
from lmcompare.teaching.views import ObjectiveView, Views

CELL, GAP = 11.0, 7.0  # of the matrix; between source and output
LETTER, LINE = 6.05, 14.0  # the width of a letter of 10 pixels, and a line of text
LABEL = 12  # letters of a token beside the matrix
LEAST, WIDEST = 346.0, 1160.0  # the width of a panel, and of all panels side by side
MARGIN = 12.0
INK, DIM, PAPER = ("#1a1a1a", "#f2f2f2"), ("#595959", "#b3b3b3"), ("#ffffff", "#15171a")
FONT = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"
ARROW = "\N{RIGHTWARDS ARROW}"
SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
LEGEND = (
    ("full", "looks there, and predicts something"),
    ("half", "looks there, and predicts nothing"),
    ("none", "may not look there"),
)


def color_of(objective: str) -> str:
    """Return the colour that an objective has in every picture."""
    return LOOKS.get(objective, UNKNOWN)[0]


def draw_views(views: Views, *, id: str = "") -> str:
    """Return the `<svg>` of all panels; the same text each time.

    Args:
        views: one text under several objectives.
        id: what the ids in it begin with, if it is to stand on a page with others.
    """
    id = id or f"views-{blake2b(repr(views).encode(), digest_size=4).hexdigest()}"
    panels = [_Panel(view) for view in views.views]
    lines = wrap(legible(views.text), _letters(WIDEST - 2 * MARGIN) * 5 // 6)
    tall = (3.2 + len(lines)) * LINE
    rows, places = [MARGIN], list[tuple[float, float]]()
    left, top, height = MARGIN, tall + LINE, 0.0
    for panel in panels:
        if left > MARGIN and left + panel.width > WIDEST:
            left, top, height = MARGIN, top + height + 2 * MARGIN, 0.0
        places.append((left, top))
        left, height = left + panel.width + 2 * MARGIN, max(height, panel.height)
        rows.append(left - MARGIN)
    root = _svg(id, max(*rows, 420.0), top + height + MARGIN)
    _named(root, id, "One text under several objectives", _described(views))
    heading = SubElement(root, "g", transform=f"translate({MARGIN} {1.5 * LINE})")
    for number, line in enumerate(lines):
        _text(heading, 0, number * LINE, line, "ink", size=12)
    _text(heading, 0, len(lines) * LINE, f"{views.cut} seed {views.seed}".strip(), "ink")
    _legend(root, MARGIN, tall)
    for panel, (x, y) in zip(panels, places, strict=True):
        panel.draw(SubElement(root, "g", transform=f"translate({x:g} {y:g})"))
    return tostring(root, encoding="unicode")


def draw_view(view: ObjectiveView, *, id: str, styled: bool = True) -> str:
    """Return the `<svg>` of one panel, without its name above it.

    Args:
        view: of one objective.
        id: what the ids in it begin with, which no other picture of a page may have.
        styled: whether it has its style sheet, `dark_style`, in it; else the page must have it.
    """
    panel = _Panel(view, headed=False)
    root = _svg(id, panel.width, panel.height)
    _named(root, id, f"{view.name}: who sees whom", described(view), styled=styled)
    panel.draw(root)
    return tostring(root, encoding="unicode")


def described(view: ObjectiveView) -> str:
    """Return in words what a panel shows."""
    sizes = ", ".join(
        f"{len(slots)} positions{f' of the {name}' if name else ''}"
        for name, slots in view.slots.items()
    )
    targets = sum(bool(slot.target) for slots in view.slots.values() for slot in slots)
    return (
        f"{view.name}: sees {view.attention}; predicts {view.predicts}. {sizes}, {targets} targets."
    )


def _described(views: Views) -> str:
    return " ".join([legible(views.text), views.cut, *map(described, views.views)])


def _svg(id: str, width: float, height: float) -> Element:
    return Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "id": id,
            "width": f"{width:.0f}",
            "height": f"{height:.0f}",
            "viewBox": f"0 0 {width:.0f} {height:.0f}",
            "role": "img",
            "aria-labelledby": f"{id}-title {id}-desc",
            "font-family": FONT,
            "direction": "ltr",
        },
    )


def dark_style(within: str) -> str:
    """Return the style sheet for dark screens, of what is within some element."""
    rules = "".join(
        f"{within} .{name}{{{property}:{dark}}}"
        for name, property, (_, dark) in (
            ("ink", "fill", INK),
            ("dim", "fill", DIM),
            ("paper", "fill", PAPER),
            ("edge", "stroke", INK),
            ("faint", "stroke", DIM),
        )
    )
    return f"@media screen and (prefers-color-scheme:dark){{{rules}}}"


def _named(root: Element, id: str, title: str, described: str, *, styled: bool = True) -> None:
    """Add name and description, the style for dark screens, and the paper."""
    SubElement(root, "title", id=f"{id}-title").text = title
    SubElement(root, "desc", id=f"{id}-desc").text = described
    if styled:
        SubElement(root, "style").text = dark_style(f"#{id}")
    paper = {"class": "paper", "width": "100%", "height": "100%", "fill": PAPER[0]}
    SubElement(root, "rect", paper)


def _legend(root: Element, left: float, top: float) -> None:
    x = left
    for sign, words in LEGEND:
        _signs(root, x, top - 0.8 * CELL, [sign], GREY)
        _text(root, x + 1.5 * CELL, top, words, "ink")
        x += 1.5 * CELL + (len(words) + 2) * LETTER


def _signs(parent: Element, x: float, y: float, signs: Sequence[str], color: str) -> None:
    """Draw cells beside each other: a path for all of a kind, a beginning for each cell."""
    for kind, inset in (("full", 0.8), ("half", 3.0), ("none", CELL / 2)):
        side = round(CELL - 2 * inset, 2)
        cell = f"h{side:g}v{side:g}h-{side:g}z" if side else "h.01"
        drawn = "".join(
            f"M{round(x + number * CELL + inset, 2):g} {round(y + inset, 2):g}{cell}"
            for number, sign in enumerate(signs)
            if sign == kind
        )
        if not drawn:
            continue
        if kind == "none":
            look = {"class": "faint", "stroke": DIM[0], "stroke-width": "1.8"}
            SubElement(parent, "path", {"d": drawn, "stroke-linecap": "round", **look})
        else:
            look = {"class": "edge", "stroke": INK[0], "stroke-width": "0.8", "fill": color}
            opacity = {} if kind == "full" else {"fill-opacity": "0.25"}
            SubElement(parent, "path", {"d": drawn, **look, **opacity})


def _text(
    parent: Element,
    x: float,
    y: float,
    text: str,
    kind: str,
    *,
    size: float = 10,
    turned: bool = False,
    anchor: str = "start",
    bold: bool = False,
) -> None:
    """Write a line, up the page where it is turned."""
    place = {"transform": f"translate({x:g} {y:g}) rotate(-90)"} if turned else {}
    SubElement(
        parent,
        "text",
        {
            "class": kind,
            "fill": {"ink": INK, "dim": DIM}[kind][0],
            "font-size": f"{size:g}",
            **(place or {"x": f"{x:g}", "y": f"{y:g}"}),
            **({} if anchor == "start" else {"text-anchor": anchor}),
            **({"font-weight": "bold"} if bold else {}),
        },
    ).text = text


def _letters(width: float) -> int:
    return int(width / LETTER)


def _label(piece: str) -> str:
    """Return a token in at most `LABEL` columns."""
    return shortened(legible(piece, space=SPACE), LABEL)


class _Panel:
    """One objective: its words, what goes in, who sees whom, and what is predicted."""

    def __init__(self, view: ObjectiveView, *, headed: bool = True) -> None:
        self.view = view
        self.names = list(view.slots)
        self.slots: Mapping[str, Sequence[Slot]] = view.slots
        size = sum(map(len, self.slots.values())) * CELL + (len(self.slots) - 1) * GAP
        longest = max(columns_of(self._target(slot)) for slot in self._all())
        label = max(columns_of(_label(slot.input)) for slot in self._all())
        self.left = (label + 3.5) * LETTER
        self.width = max(LEAST, self.left + size + (longest + 1) * LETTER)
        room = _letters(self.width)
        self.above = [
            *wrap(f"sees {view.attention}", room, subsequent_indent="  "),
            *wrap(f"predicts {view.predicts}", room, subsequent_indent="  "),
        ]
        self.below = [
            line
            for note in view.notes
            for line in wrap(legible(note), room, subsequent_indent="  ")
        ]
        self.headed = headed
        self.start = (1.5 * LINE + len(self.above) * LINE) if headed else 4.0
        self.top = self.start + label * LETTER + 8
        self.bottom = self.top + size + (LINE if len(self.slots) > 1 else 0)
        self.height = self.bottom + (len(self.below) * LINE if headed else 0) + 4

    def _all(self) -> Iterator[Slot]:
        for slots in self.slots.values():
            yield from slots

    @staticmethod
    def _target(slot: Slot) -> str:
        """Return what stands at the right of a row."""
        change = f" ({slot.change})" if slot.change in ("kept", "replaced", "query") else ""
        if not slot.target:
            return change.strip()
        return f"{f'{ARROW} ' if slot.ahead else ''}{_label(slot.target)}{change}"

    def draw(self, parent: Element) -> None:
        """Add the panel to a picture."""
        color = color_of(self.view.objective)
        if self.headed:
            tag = {"width": "11", "height": "11", "y": "1", "fill": color}
            SubElement(parent, "rect", {**tag, "class": "edge", "stroke": INK[0]})
            _text(parent, 17, 11, self.view.name, "ink", size=13, bold=True)
            for number, line in enumerate(self.above):
                _text(parent, 0, (number + 2) * LINE, line, "ink")
            for number, line in enumerate(self.below):
                _text(parent, 0, self.bottom + (number + 1) * LINE - 2, line, "ink")
        starts = self._starts()
        for name, slots in self.slots.items():
            for number, slot in enumerate(slots):
                x = self.left + starts[name] + (number + 0.78) * CELL
                _text(parent, x, self.top - 4, _label(slot.input), "ink", size=9.5, turned=True)
        for matrix in self.view.matrices:
            beside = next(name for name, slots in self.slots.items() if slots is matrix.rows)
            across = next(name for name, slots in self.slots.items() if slots is matrix.columns)
            group = SubElement(parent, "g", {"class": "matrix", "data-name": matrix.name})
            for number, (slot, sees) in enumerate(zip(matrix.rows, matrix.sees, strict=True)):
                y = self.top + starts[beside] + number * CELL
                row = SubElement(group, "g", {"class": "row"})
                sign = "full" if slot.target else "half"
                signs = [sign if seen else "none" for seen in sees]
                _signs(row, self.left + starts[across], y, signs, color)
        self._label_rows(parent, starts)

    def _label_rows(self, parent: Element, starts: Mapping[str, float]) -> None:
        end = self.left + sum(map(len, self.slots.values())) * CELL + GAP * (len(self.slots) - 1)
        for name, slots in self.slots.items():
            for number, slot in enumerate(slots):
                y = self.top + starts[name] + (number + 0.8) * CELL
                bold = slot.change not in ("", "special")
                x = self.left - 0.5 * LETTER
                _text(parent, x, y, _label(slot.input), "ink", anchor="end", bold=bold)
                _text(parent, 2 * LETTER, y, str(slot.index), "dim", size=8, anchor="end")
                if target := self._target(slot):
                    _text(parent, end + LETTER, y, target, "ink")
            if name:
                x = self.left + starts[name] + len(slots) * CELL / 2
                _text(parent, x, self.bottom - 3, name, "dim", size=9, anchor="middle")

    def _starts(self) -> dict[str, float]:
        """Return where the positions of source and output begin."""
        starts, at = {}, 0.0
        for name, slots in self.slots.items():
            starts[name] = at
            at += len(slots) * CELL + GAP
        return starts
