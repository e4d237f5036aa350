"""The report's page in a browser: it draws, fits a phone, and asks nothing of the network."""

import logging
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import altair as alt
import numpy as np
import pytest
from pages import assert_readable
from playwright.sync_api import Page, expect
from searches import train_search, write_importance
from support import SMALL, train_into, write_config

from mlplab.commands.report.report import report
from mlplab.figures.classification import confusion
from mlplab.figures.predictions import THIS, ScoredRows, importance, predicted_vs_actual, residuals
from mlplab.figures.scores import RunPoint, score_over
from mlplab.figures.write_figures import write_figures

Opened = Callable[[str], Page]

EVIL = "</script><script>document.title = 'evil'</script><b>"
WIDE_CHART = alt.Chart(alt.Data(values=[{"x": x, "y": x, "part": x % 5} for x in range(20)])).mark_point()

pytestmark = pytest.mark.usefixtures("quick_images")


@pytest.fixture(scope="module")
def sweep(quick_images: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep whose first run has figures."""
    logging.getLogger("mlplab").setLevel(logging.INFO)
    folder = tmp_path_factory.mktemp("trained") / "sweep"
    settings = (("0.0001", "relu"), ("0.001", "relu"), ("0.01", "mish"))
    train_into(folder, *([*SMALL, f"optimizer.lr={lr}", f"model.activation={name}"] for lr, name in settings))
    chart = WIDE_CHART.encode(x="x:Q", y="y:Q")
    evil = chart.encode(tooltip=["part:N"]).properties(title=EVIL, width=420, height=300)
    facets = chart.properties(width=180, height=120).facet("part:N", columns=3)
    figures = {"predicted_vs_actual": evil, "coverage": facets, "calibration": alt.vconcat(evil, evil)}
    write_figures(folder / "0", figures)
    return folder


@pytest.fixture(scope="module")
def search(quick_images: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search whose best trial has the importance of its columns."""
    folder = tmp_path_factory.mktemp("trained") / "search"
    best = folder / train_search(folder)
    write_figures(best, {"importance": importance([("x1", 0.5, 0.1), ("x2", 0.2, 0.1)], "rmse", [])})
    write_importance(best, best.name)
    return folder


@pytest.fixture
def opened(page: Page, drawn: Callable[[Path], None], request: pytest.FixtureRequest) -> Opened:
    def opened(name: str) -> Page:
        folder = request.getfixturevalue("search" if name == "search" else "sweep")
        drawn(report(folder / "0" if name == "run" else folder))
        return page

    return opened


@pytest.mark.parametrize(
    ("name", "least"), [("run", 6), ("sweep", 9), pytest.param("search", 8, marks=pytest.mark.slow(ci=True))]
)
def test_all_charts_are_drawn_and_fit_a_phone(opened: Opened, page: Page, name: str, least: int) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    opened(name)
    charts = page.locator(".chart")
    assert charts.count() >= least
    assert page.locator(".chart svg").count() == charts.count()
    assert all(chart.get_attribute("aria-label") for chart in charts.all())
    assert page.title() != "evil"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    widths = page.locator(".chart.fits svg").evaluate_all("all => all.map(each => each.clientWidth)")
    assert max(widths) <= 390


TEXTS = """() => [...document.querySelectorAll(".chart.fits svg")].flatMap(svg => {
  const frame = svg.getBoundingClientRect();
  const texts = [...svg.querySelectorAll("text")].filter(text => getComputedStyle(text).opacity !== "0")
    .filter(text => !text.getAttribute("transform").includes("rotate(315"))  // whose boxes cross, not they
    .map(text => [text.textContent, text.getBoundingClientRect()]).filter(([, box]) => box.width);
  const cross = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 0.5
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
  const clipped = texts.filter(([, box]) => box.left < frame.left - 1 || box.right > frame.right + 1);
  const crossing = texts.filter(([, a], i) => texts.some(([, b], j) => i < j && cross(a, b)));
  return [...clipped, ...crossing].map(([text]) => text);
})"""
"""The texts in charts that are clipped, or that cross others."""


@pytest.mark.parametrize("width", [390, pytest.param(1280, marks=pytest.mark.slow)])
def test_texts_in_charts_are_whole_and_do_not_cross(
    page: Page, drawn: Callable[[Path], None], tmp_path: Path, width: int
) -> None:
    """Of large numbers, of years, of long names and of many classes."""
    rng = np.random.default_rng(0)
    actual, years = rng.lognormal(19, 1, 200), 2019 + rng.uniform(0, 1, 200)
    names = tuple(f"a category with a long name, and what it means, {k}" for k in range(12))
    scored = ScoredRows("price", np.arange(200) + 1, 200, np.ones(200), actual, {THIS: actual * 1.1})
    classes, shares = rng.integers(0, 12, 200), rng.dirichlet(np.ones(12), 200)
    points = [RunPoint(str(k), "done", f"[{','.join(['256'] * k)}]", k, k == 1) for k in range(1, 5)]
    charts = {
        "predicted_vs_actual": predicted_vs_actual(scored),
        "years": predicted_vs_actual(replace(scored, predictions={THIS: years}, actual=years)),
        "confusion": confusion(replace(scored, actual=classes, predictions={THIS: shares}, classes=names)),
        "yes": confusion(
            replace(scored, actual=classes % 2, predictions={THIS: shares[:, :2]}, classes=("no", "yes"))
        ),
        "residuals": residuals(scored),
        "lists": score_over("hidden", points, "val/mae"),
        "columns": importance([(name, 1e9, 2e8) for name in names], "RMSE in units of price", ["rows"]),
    }
    write_config(tmp_path, {"name": "x", "seed": 0, "data": {"name": "concrete"}})
    (tmp_path / "metrics.json").write_text('{"status": "done"}')
    write_figures(tmp_path, {name: chart for name, chart in charts.items() if chart})
    page.set_viewport_size({"width": width, "height": 900})
    drawn(report(tmp_path))
    assert page.locator(".chart.fits svg").count() == len(charts)
    assert page.evaluate(TEXTS) == []
    texts = page.locator(".chart svg text").all_text_contents()
    assert not [text for text in texts if re.search(r"\d,\d{3}\.\d|e[+-]?\d", text)]


WORDS = """() => [...document.querySelectorAll("td, th")].flatMap(cell => {
  const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
  const broken = [], range = document.createRange();
  for (let text; (text = texts.nextNode());) {
    for (const word of text.textContent.matchAll(cell.matches("tbody .number") ? /.+/g : /[^\\s,=_\\-]+/g)) {
      range.setStart(text, word.index);
      range.setEnd(text, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map(box => box.top)).size > 1) broken.push(word[0]);
    }
  }
  return broken;
})"""
"""The words and numbers in tables that are broken over lines."""


def test_on_paper_columns_are_open_settings_are_left_out_and_words_are_whole(opened: Opened) -> None:
    page = opened("sweep")
    columns = page.locator("details table", has_text="target")
    expect(columns).to_be_hidden()
    page.emulate_media(media="print", color_scheme="dark")
    page.set_viewport_size({"width": 700, "height": 1000})  # of A4
    expect(columns).to_be_visible()
    expect(page.locator("summary", has_text="config.yaml")).to_be_hidden()
    assert page.evaluate(WORDS) == []
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_text_is_readable_keys_reach_the_content_first_and_hovering_shows_a_point(opened: Opened) -> None:
    page = opened("run")
    assert_readable(page, "h1", ".quiet", "td", "caption", "summary", ".small", ".chart")
    assert page.locator(".chart svg text").first.get_attribute("fill") == "currentColor"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("#main$"))
    for name, chart, shown in (
        ("run", "Loss", "train/loss"),
        ("run", "evil", "part"),
        ("sweep", "every", "epoch"),
    ):
        page = opened(name)
        figure = page.locator("figure", has=page.locator("figcaption", has_text=chart))
        figure.locator(".mark-symbol.role-mark path").first.hover(force=True)
        expect(page.locator("#vg-tooltip-element.visible")).to_contain_text(shown)
