"""The page of a film in a browser: its controls, its numbers, and what it asks of the network."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from films import DATA, film_in
from pages import assert_readable
from playwright.sync_api import Page, expect
from support import train_into

from mlplab.runs.film.page import write_film

EVIL = "</script><script>document.title = 'evil'</script>"

QUICK = ("baselines=[]", "test=false", "logger=[]", "callbacks.film=true")
RUN = ("trainer.max_epochs=100", *QUICK)
SMALL = ("experiment=film", "callbacks.early_stopping.patience=null", "trainer.max_epochs=2", *QUICK)

RUNS = {
    "surface": ("experiment=article", *RUN),
    "curve": ("experiment=article", "data.function=sine", "model.hidden=[4,3]", *RUN),
    "numbers": (*SMALL, "data=concrete"),
    "classes": (
        *(*SMALL, "data=penguins", "optimizer=sgd", "optimizer.momentum=0.9"),
        *("loss=cross_entropy", "loss.label_smoothing=0"),
    ),
    "diverged": ("experiment=article", "optimizer=sgd", "optimizer.lr=5", *RUN),
    "ensemble": ("experiment=article", "ensemble=3", "model.hidden=[]", *RUN),
}
"""Runs that are filmed: a surface, a curve, numbers, classes, a run that diverged, several networks."""


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The page about one of the runs, which is trained once."""
    folder = tmp_path_factory.mktemp("films")

    @cache
    def film(name: str) -> Path:
        train_into(folder / name, RUNS[name])
        return folder / name / "0" / "film.html"

    return film


@pytest.fixture
def opened(page: Page, film: Callable[[str], Path], drawn: Callable[[Path], None]) -> Callable[[str], None]:
    return lambda name: drawn(film(name))


IS_BLANK = """canvas =>
  !canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean)"""

FRAMES = """() => {
  const count = Number(document.getElementById("frame").max) + 1, seen = new Set();
  for (let frame = 0; frame < count; frame++) {
    seen.add(["step", "summary", "worked"].map(id => document.getElementById(id).textContent).join());
    document.getElementById("forward").click();
  }
  return [count, seen.size];
}"""
"""How many frames there are, and how many of them are different."""


LONG = [pytest.param(name, marks=pytest.mark.slow(ci=True)) for name in ("curve", "ensemble")]


@pytest.mark.parametrize("name", ["surface", "numbers", "classes", "diverged", *LONG])
def test_all_frames_are_drawn_and_fit_a_phone(opened: Callable[[str], None], page: Page, name: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    opened(name)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    frames, different = page.evaluate(FRAMES)
    assert frames == different > 10
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert "NaN" not in page.locator("body").inner_text()
    for canvas in page.locator("canvas:visible").all():
        assert not canvas.evaluate(IS_BLANK)
    assert all(each.get_attribute("aria-label") for each in page.locator("[role=img]").all())


def test_numbers_of_the_page_are_those_of_the_run(
    opened: Callable[[str], None], page: Page, film: Callable[[str], Path]
) -> None:
    [network] = film_in(film("surface").parent)["networks"]
    opened("surface")
    page.get_by_role("combobox", name="Row", exact=True).select_option(index=3)
    page.get_by_role("combobox", name="Unit").select_option("layer 1, unit 2")
    page.get_by_role("slider", name="Step").fill("20")
    frame, row, unit = 20, 3, 1
    expect(page.locator("#step")).to_have_text(f"step {network['steps'][frame]} of 100")
    hidden, output = network["layers"]

    def shown(caption: str) -> np.ndarray:
        rows = page.get_by_role("table", name=caption).locator("tbody tr").all()
        texts = [[cell.inner_text() for cell in each.locator("td").all()] for each in rows]
        return np.array([[float(text.replace("−", "-")) for text in each] for each in texts])

    def assert_shown(found: np.ndarray, *expected: np.ndarray) -> None:
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-12)

    assert_shown(shown("Layer 1: z = xW"), hidden["z"][frame, row], hidden["a"][frame, row])
    assert_shown(shown("Output: z = aW"), output["z"][frame, row])
    assert_shown(shown("Layer 1: δ")[0], *hidden["delta"][frame, row])
    x, delta = np.array([*network["x"][0, row], 1]), hidden["delta"][frame, row, unit]
    columns = [x, x * delta]
    for key in ("before", "gradients", "mean", "square", "after"):
        weight, bias = (hidden[part][key][frame, :, unit] for part in ("weight", "bias"))
        columns.append(np.array([*weight, *bias]))
    assert_shown(shown("∂l/∂W = xδ").T[: len(columns)], *columns)
    terms = page.locator("#worked .formula").first.inner_text()
    assert terms.startswith("layer 1, unit 2: z = ")
    assert terms.endswith(f"= {float(hidden['z'][frame, row, unit]):.4g}".replace("-", "−"))


def test_keys_play_and_move_and_units_are_clicked(opened: Callable[[str], None], page: Page) -> None:
    opened("surface")
    assert_readable(page, *("h1", ".quiet", ".plus", ".minus", "td", "#worked .formula", "#graph text"))
    step, play = page.locator("#step"), page.get_by_role("button", name="Play")
    page.keyboard.press("ArrowRight")
    expect(step).to_have_text("step 1 of 100")
    page.keyboard.press("End")
    expect(step).to_have_text("step 100 of 100")
    expect(page.get_by_text("Training ended here")).to_be_visible()
    page.keyboard.press("Home")
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(step).not_to_have_text("step 0 of 100")
    page.keyboard.press("Space")
    expect(play).to_be_visible()
    page.get_by_role("slider", name="Step").focus()
    page.keyboard.press("End")
    expect(page.get_by_role("slider", name="Step")).to_have_attribute("aria-valuetext", "step 100")
    circle = page.locator("#graph circle:has(title)").filter(has_text="layer 1, unit 3")
    circle.click(force=True)
    unit = page.get_by_role("combobox", name="Unit")
    expect(unit.locator("option:checked")).to_have_text("layer 1, unit 3")


def test_networks_are_chosen_by_a_click(opened: Callable[[str], None], page: Page) -> None:
    opened("ensemble")
    cards = page.locator("#cards button")
    assert cards.count() == 3
    before = page.locator("#worked").inner_text()
    cards.nth(1).click()
    expect(page.get_by_role("combobox", name="Network")).to_have_value("1")
    assert page.locator("#worked").inner_text() != before
    page.get_by_role("combobox", name="Network").select_option("network 3")
    expect(cards.nth(2)).to_have_attribute("aria-pressed", "true")


def test_names_cannot_break_the_page(
    page: Page, film: Callable[[str], Path], drawn: Callable[[Path], None], tmp_path: Path
) -> None:
    found = DATA.search(film("surface").read_text(encoding="utf-8"))
    assert found
    evil = {**json.loads(found[1]), "target": EVIL, "columns": [EVIL, "x2"], "table": EVIL}
    drawn(write_film(tmp_path, evil))
    assert page.title() != "evil"
    assert EVIL in page.locator("h1").inner_text()
