"""A report is one page that asks for nothing, does nothing, and shows every text as it is."""

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lmcompare.blocks import Block, Notes, Paragraph, Part, Table, names, numbers
from lmcompare.comparison import Comparison, compare
from lmcompare.errors import UserError
from lmcompare.report import report, write_report
from lmcompare.report.html import environment
from tests.comparison.known_answers import ask, wrote
from tests.comparison.known_curves import learner
from tests.comparison.known_probes import flat, probe
from tests.comparison.known_runs import CLOSE, arm

EVIL = '<script>alert("1")</script> & <b>b</b> "quoted" <!-- {{ 7 * 7 }} \x1b[31m\r中'
SHOWN = EVIL.replace("\x1b", "\\x1b").replace("\r", "\\r")
VOID = {"meta", "img", "input"}


class Read(HTMLParser):
    """What a browser finds in a page: tags with their attributes, and texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return tmp_path / "first"


@pytest.fixture
def comparison(study: Path) -> Comparison:
    runs = [
        run
        for name in (EVIL, "clm")
        for run in arm(study, name, CLOSE, settings={"objective": "clm"}, record={"text": EVIL})
    ]
    for run in runs:
        ask(run, 1, 2, 3, 4, source=EVIL)
        wrote(run, 1.5, source=EVIL)
        probe(run, [flat(3), flat(4)], task=EVIL, source=EVIL, asks=EVIL, states_of=EVIL)
    (study / "study.toml").write_text(f"# {EVIL}\n", encoding="utf-8")
    return compare(runs)


@pytest.fixture
def page(comparison: Comparison) -> str:
    return report(comparison)


def test_no_name_and_no_sample_is_markup(page: str) -> None:
    read = Read(page)
    assert not read.open
    tags = {tag for tag, _ in read.tags}
    assert not tags & {"script", "b", "iframe", "object", "link", "form"}
    assert not [name for _, own in read.tags for name in own if name.startswith("on")]
    assert "49 " not in page
    assert any(SHOWN in text for text in read.texts)
    assert "\x1b" not in page


def test_a_run_whose_metrics_are_damaged_is_said_to_be_left_out_of_the_curves(study: Path) -> None:
    runs = learner(study, "clm", {10: 5.0, 20: 4.0}, {10: 5.0, 20: 4.5})
    runs[1].metrics_file.write_text("nonsense\n")
    page = report(compare(runs))
    assert f"not drawn: {runs[1].metrics_file} holds a line" in unescape(page)
    assert f"not drawn: {runs[0].path}" not in unescape(page)


def test_it_asks_nobody_for_anything(page: str) -> None:
    read = Read(page)
    for _, attributes in read.tags:
        for name in ("src", "href", "action", "data"):
            target = attributes.get(name)
            assert target is None or target.startswith(("#", "data:image/svg+xml;base64,"))
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert "url(" not in style
    assert "@import" not in style
    policy = next(
        own["content"] or ""
        for own in read.all("meta")
        if own.get("http-equiv") == "Content-Security-Policy"
    )
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; ")
    assert f"style-src 'sha256-{digest}'" in policy
    assert "script" not in policy
    assert "unsafe" not in policy
    assert not [own for _, own in read.tags if "style" in own]


def test_pictures_have_words_and_do_nothing(page: str) -> None:
    pictures = Read(page).all("img")
    assert pictures
    for each in pictures:
        assert each["alt"]
        svg = b64decode((each["src"] or "").partition("base64,")[2])
        found = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(svg).iter()}
        assert "script" not in found


def test_tables_have_headings_and_can_be_scrolled_by_keys(page: str) -> None:
    read = Read(page)
    assert {own["scope"] for own in read.all("th")} == {"col", "row"}
    regions = [own for own in read.all("div") if own.get("role") == "group"]
    assert len(regions) == len(read.all("table"))
    assert all(own["tabindex"] == "0" and own["aria-label"] for own in regions)
    ids = [own["id"] for _, own in read.tags if "id" in own]
    assert len({*ids}) == len(ids)
    for own in read.all("a"):
        assert (own["href"] or "")[1:] in ids
    for own in read.all("label"):
        assert own["for"] in ids
    (html,) = read.all("html")
    assert html["lang"] == "en"


def test_all_that_a_comparison_says_is_there(comparison: Comparison, page: str) -> None:
    texts = "\n".join(Read(page).texts)
    for note in comparison.notes:
        assert note.replace("\x1b", "\\x1b").replace("\r", "\\r") in texts
    for fact in comparison.facts:
        assert fact.name in texts
    assert "the text itself" in texts  # of the samples
    assert "lmcompare train" in texts


def test_without_matplotlib_it_is_one_sentence(
    comparison: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lmcompare.report.page.can_draw", lambda: False)
    with pytest.raises(UserError, match=r"lmcompare\[report\]"):
        report(comparison)


def test_its_commands_name_what_was_asked(page: str) -> None:
    texts = "\n".join(Read(page).texts)
    assert "lmcompare eval --tasks benchmark" not in texts  # which is no name of a task
    assert re.search(r"(?s)lmcompare probe --tasks \S.{,80} --treebank \S", texts)


def test_the_same_comparison_is_the_same_page(comparison: Comparison, page: str) -> None:
    assert report(comparison) == page


def test_it_is_written_whole(comparison: Comparison, tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    write_report(comparison, path)
    assert path.read_text(encoding="utf-8") == report(comparison)


def _rendered(*blocks: Block) -> Read:
    template = environment().from_string(
        "{% import 'blocks.html.j2' as blocks %}{% set said = namespace(title='') %}"
        "{% for each in given %}{{ blocks.render(each, said) }}{% endfor %}"
    )
    return Read(template.render(given=blocks))


def test_blocks() -> None:
    table = Table(
        columns=[*names("arm"), *numbers("bits/\nbyte")],
        parts=[
            Part(title="One", rows=[["clm", " 1.5"], ["text", "2"]], bold=[True, False], anchors=1),
            Part(title="One", subtitle="again", rows=[["mlm", "3"]]),
        ],
        notes=["how to read it"],
    )
    read = _rendered(table, Paragraph("Held equal", "all", warns=True), Notes(["a note"]))
    assert [*filter(None, map(str.strip, read.texts))] == [
        *("One", "arm", "bits/byte", "clm", "1.5", "text", "2"),
        *("again", "arm", "bits/byte", "mlm", "3", "how to read it"),
        *("Held equal:", "all", "a note"),
    ]
    assert [own.get("class") for own in read.all("tr")] == [None, "bold", "anchor", None, None]
    assert [own.get("class") for own in read.all("p")] == ["warns"]


def test_a_block_that_came_later_is_shown_by_its_fields() -> None:
    @dataclass(frozen=True)
    class Later:
        about: str
        text: str

    read = _rendered(Later("New", "<b>"))  # type: ignore[arg-type]
    assert "<b>" in "".join(read.texts)
