"""The page in a real browser: on a phone, in the dark, and by axe."""

from pathlib import Path
from typing import Any, Literal

import pytest

from lmcompare.data import Tokenizer
from lmcompare.objectives import parse_objective
from lmcompare.report.teaching import teaching_page
from lmcompare.teaching.predictions import predictions_of
from lmcompare.teaching.views import Views
from tests.untrained import subject_of


@pytest.fixture(scope="module")
def path(views: Views, tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = [subject_of(parse_objective(name), tokenizer) for name in ("clm", "mlm")]
    found = [predictions_of(model, "the old cat") for model in models]
    page = tmp_path_factory.mktemp("page") / "page.html"
    page.write_text(teaching_page(views.text, views=views, predictions=found), encoding="utf-8")
    return page


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (390, "dark"),
        (1440, "light"),
        pytest.param(390, "light", marks=pytest.mark.slow),
        pytest.param(1440, "dark", marks=pytest.mark.slow),
    ],
)
def test_it_loads_and_can_be_read(
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
    assert asked == [path.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ground = page.locator(".picture .paper").first.evaluate("e => getComputedStyle(e).fill")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(21, 23, 26)"}[scheme]
    first = page.locator("details").first
    first.locator("summary").press("Enter")
    assert first.locator("table").is_visible()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    page.close()
