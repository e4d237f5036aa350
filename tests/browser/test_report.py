"""The report's page in a browser: it draws, fits a phone, and asks nothing of the network."""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import altair as alt
import jaxtyping
import pytest
from playwright.sync_api import Page, expect
from searches import train_search
from support import SMALL, train_into

from mlplab.commands.importance import ColumnImportance, Importance
from mlplab.commands.report.report import report
from mlplab.figures.files import write_figures
from mlplab.figures.importance import importance

EVIL = "</script><script>document.title = 'evil'</script><b>"
WIDE_CHART = alt.Chart(alt.Data(values=[{"x": x, "y": x, "part": x % 5} for x in range(20)])).mark_point()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages about a run with figures, about a sweep, and about a search."""
    folder = tmp_path_factory.mktemp("trained")
    logging.getLogger("mlplab").setLevel(logging.INFO)
    members = [
        [*SMALL, f"optimizer.lr={lr}", f"model.activation={activation}"]
        for lr, activation in ((0.0001, "relu"), (0.001, "relu"), (0.01, "mish"))
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaxtyping.config, "jaxtyping_disable", True)
        train_into(folder / "sweep", *members)
        best = folder / "search" / train_search(folder / "search").trial
    run = folder / "sweep" / "0"
    evil = WIDE_CHART.encode(x="x:Q", y="y:Q").properties(title=EVIL, width=420, height=300)
    facets = WIDE_CHART.encode(x="x:Q", y="y:Q").properties(width=180, height=120).facet("part:N", columns=3)
    write_figures(run, {"predicted_vs_actual": evil, "error_by_part": facets})
    write_figures(best, {"importance": importance([("x1", 0.5, 0.1), ("x2", 0.2, 0.1)], "rmse", [])})
    columns = (ColumnImportance("x1", 0.5, 0.1),)
    found = Importance("x", "test", ("y",), "rmse", 2.5, 9, 9, 5, columns, (best.name,))
    (best / "importance.json").write_text(json.dumps(asdict(found)))
    return {name: report(folder / name) for name in ("sweep", "search")} | {"run": report(run)}


@pytest.fixture
def opened(page: Page, pages: dict[str, Path]) -> Iterator[Callable[[str], Page]]:
    """Opens a page and waits for its charts; there must be no error, warning or request."""
    problems = list[str]()
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: problems.append(request.url))

    def opened(name: str) -> Page:
        page.goto(pages[name].as_uri())
        expect(page.locator(".chart:not([data-drawn])")).to_have_count(0)
        return page

    yield opened
    assert [text for text in problems if not text.startswith(("file:", "data:"))] == []


@pytest.mark.parametrize(("name", "least"), [("run", 4), ("sweep", 5), ("search", 8)])
def test_all_charts_are_drawn_and_fit_a_phone(
    opened: Callable[[str], Page], page: Page, name: str, least: int
) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    opened(name)
    charts = page.locator(".chart")
    assert charts.count() >= least
    assert page.locator(".chart svg").count() == charts.count()
    assert all(chart.get_attribute("aria-label") for chart in charts.all())
    assert page.title() != "evil"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for chart in page.locator(".chart.fits svg").all():
        box = chart.bounding_box()
        assert box is not None
        assert box["width"] <= 390


def test_the_command_of_a_search_wraps_and_is_copied_in_one_line(
    opened: Callable[[str], Page], page: Page
) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    opened("search")
    command = page.locator("pre.wrapped code").first
    box = command.bounding_box()
    assert box is not None
    assert box["width"] <= 390
    assert box["height"] > 60
    selected = command.evaluate(
        "element => { getSelection().selectAllChildren(element); return `${getSelection()}` }"
    )
    assert selected.startswith("uv run scripts/train.py optimizer.lr=")
    assert "\n" not in selected


def contrast(page: Page, selector: str) -> float:
    """The contrast of text and page, as WCAG defines it."""
    return page.evaluate(
        """selector => {
          const luminance = colour => {
            const parts = colour.match(/[\\d.]+/g).slice(0, 3).map(each => each / 255)
              .map(each => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
            return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
          };
          const ink = luminance(getComputedStyle(document.querySelector(selector)).color);
          const page = luminance(getComputedStyle(document.body).backgroundColor);
          return (Math.max(ink, page) + 0.05) / (Math.min(ink, page) + 0.05);
        }""",
        selector,
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_both_colour_schemes(
    opened: Callable[[str], Page], page: Page, scheme: Literal["light", "dark"]
) -> None:
    page.emulate_media(color_scheme=scheme)
    opened("run")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    for selector in ("h1", ".quiet", "td", "caption", "summary", ".small", ".chart"):
        assert contrast(page, selector) >= 4.5, selector
    fill = page.locator(".chart svg text").first.get_attribute("fill")
    assert fill == "currentColor"


def test_on_paper_all_is_open(opened: Callable[[str], Page]) -> None:
    page = opened("run")
    settings = page.locator("details", has_text="config.yaml").locator("pre")
    expect(settings).to_be_hidden()
    page.emulate_media(media="print", color_scheme="dark")
    expect(settings).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_the_keyboard_reaches_the_content_first_and_hovering_shows_a_point(
    opened: Callable[[str], Page],
) -> None:
    page = opened("run")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.url.endswith("#main")
    page.locator(".chart").first.hover()
    page.wait_for_selector("#vg-tooltip-element.visible")
    assert "epoch" in page.locator("#vg-tooltip-element").inner_text()
