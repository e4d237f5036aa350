"""A page in a real browser. Without one, these tests are skipped."""

from collections.abc import Iterator

import pytest
from chromium import CHROMIUM, HEIGHT, WIDTH, opened_browser
from playwright.sync_api import Browser, Page


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
def problems(page: Page) -> list[str]:
    """What the page's console says, its errors, and the addresses that it asks for."""
    seen = list[str]()
    page.on("console", lambda message: seen.append(message.text))
    page.on("pageerror", lambda error: seen.append(str(error)))
    page.on("request", lambda request: seen.append(request.url))
    return seen
