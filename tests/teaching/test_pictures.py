"""Pictures and pages show the matrices of the views and the texts as they are, and run nothing."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from lmcompare.blocks.visible import legible
from lmcompare.comparison.figures.drawing import LOOKS
from lmcompare.comparison.figures.views import DIM, INK, PAPER, draw_view, draw_views
from lmcompare.data import Tokenizer, TokenizerConfig
from lmcompare.objectives import parse_objective
from lmcompare.report.teaching import ranges, teaching_page
from lmcompare.teaching.views import AttentionGrid, Views, views_of

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = [
    "<script>alert(1)</script> & <b>x</b> ]]> <!-- \"'",
    "{{ 7 * 7 }} {% raw %} </style></title></svg><script>",
    "\x00\x07\x1b[31mX\x9b2J\r\n\t\x7f \ufffe\uffff",
    "שלום עולם مرحبا \u202eab\u2066",
    "👨‍👩‍👧 🇩🇪 e\u0301\u0302\u0303 \u0301x 猫が座った",
]


class Page(HTMLParser):
    """All elements of a page, and its texts by the element that they stand in."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.quoted = ""
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "path", "rect", "circle"):
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data):
        if "blockquote" in self._open:
            self.quoted += data
        if {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data


def matrices(svg: ElementTree.Element) -> Iterator[tuple[str, list[str]]]:
    """Each matrix of a picture: its name, and the signs of each row."""
    for group in svg.iter(f"{SVG}g"):
        if group.get("class") == "matrix":
            yield group.get("data-name", ""), ["".join(_signs(row)) for row in group]


def _signs(row: ElementTree.Element) -> list[str]:
    found = []
    for path in row:
        dot = path.get("class") == "faint"
        sign = "·" if dot else "□" if path.get("fill-opacity") else "■"
        corner = -5.5 if dot else -3.0 if sign == "□" else -0.8
        found += [
            (float(x) + corner, float(y) + corner, sign)
            for x, y in re.findall(r"M([\d.]+) ([\d.]+)", path.get("d", ""))
        ]
    assert len({round(y, 1) for _, y, _ in found}) == 1
    found.sort()
    steps = [round(after[0] - before[0], 1) for before, after in pairwise(found)]
    assert set(steps) <= {11.0}
    return [sign for _, _, sign in found]


def expected(matrix: AttentionGrid) -> list[str]:
    return [
        "".join(("■" if slot.target else "□") if seen else "·" for seen in sees)
        for slot, sees in zip(matrix.rows, matrix.sees, strict=True)
    ]


def test_every_matrix_stands_in_the_picture(views: Views) -> None:
    drawn = list(matrices(ElementTree.fromstring(draw_views(views))))
    wanted = [(each.name, expected(each)) for view in views.views for each in view.matrices]
    assert drawn == wanted


def test_every_matrix_stands_in_the_tables_of_the_page(views: Views) -> None:
    rows = [row for row in Page(teaching_page(views.text, views=views)).rows if row[0] != "row"]
    wanted = []
    for view in views.views:
        for slots in view.slots.values():
            looking = [each for each in view.matrices if each.rows is slots]
            for number, slot in enumerate(slots):
                seen = [
                    ranges([j for j, sees in enumerate(each.sees[number]) if sees])
                    for each in looking
                ]
                shown = legible(slot.target, space="▁")
                target = f"→ {shown}" if slot.ahead and shown else shown
                given = [str(number), str(slot.index), legible(slot.input, space="▁"), slot.change]
                wanted.append([*given, target, *seen])
    assert rows == wanted


@pytest.mark.parametrize(
    ("numbers", "words"),
    [([], "none"), ([4], "4"), ([0, 1, 2, 5, 7, 8], "0-2, 5, 7-8")],
)
def test_ranges(numbers: Sequence[int], words: str) -> None:
    assert ranges(numbers) == words


def test_what_is_predicted_stands_in_the_picture(views: Views) -> None:
    for number, view in enumerate(views.views):
        root = ElementTree.fromstring(draw_view(view, id=f"p{number}"))
        texts = [each.text or "" for each in root.iter(f"{SVG}text")]
        for slots in view.slots.values():
            for slot in slots:
                shown = legible(slot.target, space="▁")
                assert any(shown in text for text in texts)


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_are_inert_and_exact(text: str) -> None:
    tokenizer = Tokenizer.train([text], TokenizerConfig(kind="bytes"))
    objectives = [parse_objective(name) for name in ("clm", "mlm", "t5")]
    views = views_of(text, objectives, tokenizer)
    root = ElementTree.fromstring(draw_views(views))
    assert {each.tag for each in root.iter()} <= {
        f"{SVG}{tag}" for tag in ("svg", "g", "title", "desc", "style", "rect", "path", "text")
    }
    assert legible(text) in (root.find(f"{SVG}desc").text or "")
    page = teaching_page(text, views=views)
    parsed = Page(page)
    assert parsed.quoted == legible(text)
    assert not {tag for tag, _ in parsed.tags} & {"script", "b", "img", "link", "iframe", "a"}
    for tag, attributes in parsed.tags:
        assert not {name for name in attributes if name.startswith("on")}
        assert not {"src", "href"} & set(attributes), tag
    for written in (page, draw_views(views)):
        assert not {c for c in written if unicodedata.category(c) in ("Cc", "Cf", "Cn")} - {"\n"}
    outside = re.sub(r"http://www\.w3\.org/2000/svg", "", page)
    assert "url(" not in outside
    assert "http" not in re.sub(r"http-equiv", "", outside)


def test_a_picture_has_a_name_a_description_and_ids_of_its_own(views: Views) -> None:
    page = Page(teaching_page(views.text, views=views))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    pictures = [given for tag, given in page.tags if tag == "svg" and "role" in given]
    assert len(pictures) == len(views.views)
    for attributes in pictures:
        assert attributes["role"] == "img"
        assert set(str(attributes["aria-labelledby"]).split()) <= set(ids)
    one, other = draw_views(views), draw_views(views, id="other")
    assert one == draw_views(views)
    assert set(re.findall(r' id="([^"]+)"', one)).isdisjoint(re.findall(r' id="([^"]+)"', other))


def test_an_objective_has_its_one_colour(views: Views) -> None:
    for view in views.views:
        root = ElementTree.fromstring(draw_view(view, id="x"))
        filled = {path.get("fill") for path in root.iter(f"{SVG}path") if path.get("fill")}
        assert filled == {LOOKS[view.objective][0]}


def luminance(color: str) -> float:
    shares = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_in_light_and_dark(views: Views) -> None:
    for light_or_dark in (0, 1):
        for color in (INK, DIM):
            assert contrast(color[light_or_dark], PAPER[light_or_dark]) >= 4.5
