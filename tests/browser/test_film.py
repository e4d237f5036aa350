"""The page of a film in a browser: its controls, its numbers, and what it asks of the network."""

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Literal

import jaxtyping
import numpy as np
import pytest
from films import DATA, film_in
from pages import contrast
from playwright.sync_api import Page, expect
from support import train_into

from mlplab.runs.film.page import write_film

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
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
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(jaxtyping.config, "jaxtyping_disable", True)
            train_into(folder / name, RUNS[name])
        return folder / name / "0" / "film.html"

    return film


@pytest.fixture
def opened(page: Page, film: Callable[[str], Path], problems: list[str]) -> Iterator[Callable[[str], Page]]:
    """Opens a page that has drawn itself; there must be no error, warning or request."""

    def opened(name: str) -> Page:
        page.goto(film(name).as_uri())
        expect(page.locator("body[data-drawn]")).to_have_count(1)
        return page

    yield opened
    assert [text for text in problems if not text.startswith("file:")] == []


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


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow(ci=True)] * (name in ("curve", "ensemble")))
        for name in RUNS
    ],
)
def test_all_frames_are_drawn_and_fit_a_phone(opened: Callable[[str], Page], page: Page, name: str) -> None:
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
    opened: Callable[[str], Page], page: Page, film: Callable[[str], Path]
) -> None:
    run = film_in(film("surface").parent)
    [network] = run["networks"]
    opened("surface")
    page.get_by_role("combobox", name="Row", exact=True).select_option(index=3)
    page.get_by_role("combobox", name="Unit").select_option("layer 1, unit 2")
    page.get_by_role("slider", name="Step").fill("20")
    frame, row, unit = 20, 3, 1
    made = network["steps"][frame]
    expect(page.locator("#step")).to_have_text(f"step {made} of 100")
    expect(page.locator("#summary")).to_contain_text(f"After {made} steps: training loss")
    expect(page.locator("#worked-title")).to_contain_text(f"after {made} steps, in numbers")
    expect(page.get_by_role("heading", name=f"4. Optimize, step {made + 1}:")).to_be_visible()
    expect(page.get_by_text(f"rows of step {made + 1}")).to_be_visible()
    hidden, output = network["layers"]

    def shown(caption: str) -> list[list[float]]:
        rows = page.get_by_role("table", name=caption).locator("tbody tr").all()
        texts = [[cell.inner_text() for cell in each.locator("td").all()] for each in rows]
        return [[float(text.replace("−", "-")) for text in each] for each in texts]

    def assert_shown(found: list[float], expected: np.ndarray) -> None:
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-12)

    z, a = shown("Layer 1: z = xW")
    assert_shown(z, hidden["z"][frame, row])
    assert_shown(a, hidden["a"][frame, row])
    [[z]] = shown("Output: z = aW")
    assert_shown([z], output["z"][frame, row])
    assert_shown(shown("Layer 1: δ")[0], hidden["delta"][frame, row])
    table = np.array(shown("∂l/∂W = xδ"))
    x, delta = [*network["x"][0, row], 1], hidden["delta"][frame, row, unit]
    columns = {0: x, 1: np.array(x) * delta}
    for place, key in enumerate(("before", "gradients", "mean", "square", "after"), 2):
        columns[place] = [*hidden["weight"][key][frame, :, unit], hidden["bias"][key][frame, 0, unit]]
    for place, values in columns.items():
        assert_shown(table[:, place], np.array(values))
    terms = page.locator("#worked .formula").first.inner_text()
    assert terms.startswith("layer 1, unit 2: z = ")
    assert terms.endswith(f"= {float(hidden['z'][frame, row, unit]):.4g}".replace("-", "−"))


def test_keys_play_and_move(opened: Callable[[str], Page], page: Page) -> None:
    opened("surface")
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
    play.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.get_by_role("slider", name="Step").focus()
    page.keyboard.press("End")
    expect(page.get_by_role("slider", name="Step")).to_have_attribute("aria-valuetext", "step 100")
    expect(play).to_be_visible()  # nothing is left to play


def test_networks_of_an_ensemble_are_chosen(opened: Callable[[str], Page], page: Page) -> None:
    opened("ensemble")
    cards = page.locator("#cards button")
    names = [card.inner_text().partition(":")[0].strip() for card in cards.all()]
    assert names == ["network 1", "network 2", "network 3"]
    before = page.locator("#worked").inner_text()
    cards.nth(1).click()
    expect(page.get_by_role("combobox", name="Network")).to_have_value("1")
    expect(cards.nth(1)).to_have_attribute("aria-pressed", "true")
    assert page.locator("#worked").inner_text() != before
    page.get_by_role("combobox", name="Network").select_option("network 3")
    expect(cards.nth(2)).to_have_attribute("aria-pressed", "true")


def test_a_click_on_a_circle_chooses_its_unit(opened: Callable[[str], Page], page: Page) -> None:
    opened("surface")
    circle = page.locator("#graph circle:has(title)").filter(has_text="layer 1, unit 3")
    circle.click(force=True)
    expect(page.get_by_role("combobox", name="Unit").locator("option:checked")).to_have_text(
        "layer 1, unit 3"
    )
    expect(
        page.get_by_role("heading", name="4. Optimize, step 1: the weights of layer 1, unit 3")
    ).to_be_visible()


def test_a_window_of_900_pixels_has_no_empty_half(opened: Callable[[str], Page], page: Page) -> None:
    page.set_viewport_size({"width": 900, "height": 900})
    opened("surface")
    assert page.locator("h1").inner_text() == "How a network learned target from x1, x2 (synthetic product)"
    for selector in (".panels > *", "#worked > *"):
        boxes = page.locator(selector).evaluate_all("all => all.map(each => each.getBoundingClientRect())")
        right = max(box["right"] for box in boxes)
        for box in boxes:  # each is beside others, or as wide as all
            beside = [each for each in boxes if each["top"] < box["bottom"] and each["bottom"] > box["top"]]
            assert max(each["right"] for each in beside) == right


def test_both_colour_schemes_are_readable(opened: Callable[[str], Page], page: Page) -> None:
    opened("surface")
    texts = "h1", ".quiet", ".plus", ".minus", "td", "#worked .formula", "button", "select", "#graph text"
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        for selector in texts:
            assert contrast(page, selector) >= 4.5, (scheme, selector)


def test_names_cannot_break_the_page(page: Page, film: Callable[[str], Path], tmp_path: Path) -> None:
    found = DATA.search(film("surface").read_text(encoding="utf-8"))
    assert found
    evil = {**json.loads(found[1]), "target": EVIL, "columns": [EVIL, "x2"], "table": EVIL}
    page.goto(write_film(tmp_path, evil).as_uri())
    expect(page.locator("body[data-drawn]")).to_have_count(1)
    assert page.title() != "evil"
    assert EVIL in page.locator("h1").inner_text()
