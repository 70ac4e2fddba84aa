"""A report in a real browser: it loads, is operated by keys, fits a phone, and can be read."""

from pathlib import Path
from typing import Any, Literal

import pytest

from lmcompare import files
from lmcompare.comparison import compare
from lmcompare.report import write_report
from tests.comparison.known_answers import ask, wrote
from tests.comparison.known_probes import flat, probe
from tests.comparison.known_runs import CLOSE, FAR, arm

PHONE, DESK = 390, 1_440  # pixels


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = tmp_path_factory.mktemp("browser") / "first"
    runs = [*arm(study, "clm", CLOSE), *arm(study, "mlm", FAR)]
    for run in runs:
        line = next(iter(run.metrics()))
        more = [
            line.model_copy(update={"step": line.step // 2, "tokens": line.tokens // 2}),
            line,
        ]
        text = "".join(f"{each.model_dump_json()}\n" for each in more)
        files.write_text(run.metrics_file, text)
        ask(run, 1, 2, 3, 4)
        wrote(run, 1.5)
        probe(run, [flat(3), flat(4)])
    write_report(compare(runs), study / "report.html")
    return study / "report.html"


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (PHONE, "dark"),
        (DESK, "light"),
        pytest.param(PHONE, "light", marks=pytest.mark.slow),
        pytest.param(DESK, "dark", marks=pytest.mark.slow),
    ],
)
def test_it_loads_and_is_operated(
    browser: Any, path: Path, width: int, scheme: Literal["light", "dark"]
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    first = page.locator(".choice").first
    assert first.locator(".panel-1").is_visible()
    first.locator("input").first.focus()
    page.keyboard.press("ArrowRight")
    assert first.locator(".panel-2").is_visible()
    assert not first.locator(".panel-1").is_visible()
    first.locator("label").nth(3).click()
    assert first.locator(".panel-4").is_visible()
    assert first.locator(".panel-4 img").evaluate("image => image.naturalWidth") > 0
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    page.close()


def test_on_paper_all_pictures_are_shown(browser: Any, path: Path) -> None:
    page = browser.new_page()
    page.goto(path.as_uri())
    page.emulate_media(media="print")
    assert all(
        page.locator(".choice").first.locator(f".panel-{number}").is_visible()
        for number in (1, 2, 3, 4)
    )
    page.close()
