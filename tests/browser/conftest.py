"""A page in a real browser. Without one, these tests are skipped."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chromium import CHROMIUM, HEIGHT, WIDTH, opened_browser
from commands.conftest import _at_full_speed  # noqa: F401
from playwright.sync_api import Browser, Page, expect


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    with opened_browser() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    yield page
    page.close()


@pytest.fixture
def drawn(page: Page) -> Iterator[Callable[[Path], None]]:
    """Opens a page that draws itself; there must be no error, warning or request."""
    seen = list[str]()
    page.on("console", lambda message: seen.append(message.text))
    page.on("pageerror", lambda error: seen.append(str(error)))
    page.on("request", lambda request: seen.append(request.url))

    def drawn(path: Path) -> None:
        page.goto(path.as_uri())
        expect(page.locator("body[data-drawn], .chart[data-drawn]").first).to_be_visible()
        expect(page.locator(".chart:not([data-drawn])")).to_have_count(0)

    yield drawn
    assert [text for text in seen if not text.startswith(("file:", "data:"))] == []
