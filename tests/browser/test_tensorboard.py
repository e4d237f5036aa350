"""What TensorBoard shows of a sweep, in a real browser."""

from pathlib import Path

import pytest
from chromium import tensorboard
from playwright.sync_api import Page, expect
from support import ROOT, SMALL, events_of, process

RUNS = [f"lr={lr},seed={seed}" for lr in ("0.001", "0.03") for seed in (0, 1)]
PATIENCE = 60_000
"""Milliseconds; TensorBoard reads the files in the background."""


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = tmp_path_factory.mktemp("sweep")
    words = ("-m", *SMALL, "optimizer.lr=0.001,0.03", "seed=0,1", "name=s")
    ended = process([str(ROOT / "scripts/train.py"), *words], here)
    assert ended.status == 0, ended
    return here / "outputs/s"


@pytest.mark.slow(ci=True)
def test_tensorboard_shows_a_sweep(page: Page, sweep: Path) -> None:
    """One test, since each would wait for a sweep and for TensorBoard."""
    with tensorboard(sweep) as address:
        check_learning_curves(page, address, sweep)
        check_hparams(page, address)
        check_images(page, address, sweep)


def check_learning_curves(page: Page, address: str, sweep: Path) -> None:
    page.goto(address)
    cards = page.locator("scalar-card")
    expect(cards.first).to_contain_text("loss", timeout=PATIENCE)
    titles = [text.replace("\n", "") for text in cards.locator("tb-truncated-path").all_inner_texts()]
    assert titles[0] == "train/loss"
    assert next(title for title in titles if title.startswith("val/")) == "val/loss"
    runs = page.locator("runs-data-table")
    for name in RUNS:
        expect(runs).to_contain_text(name)
        last = events_of(sweep / name).Scalars("train/loss")[-1]
        row = cards.first.locator("tb-data-table-content-row", has_text=name)
        expect(row).to_be_visible(timeout=PATIENCE)
        _, _smoothed, value, step, *_ = row.inner_text().split()
        assert float(value) == pytest.approx(last.value, rel=1e-4)
        assert int(step) == last.step


def check_hparams(page: Page, address: str) -> None:
    page.goto(f"{address}/#hparams")
    header = page.locator("vaadin-grid-cell-content", has_text="Trial ID")
    expect(header.first).to_be_visible(timeout=PATIENCE)
    boxes = page.locator("tf-hparams-query-pane .hparam-checkbox")
    expect(boxes.first).to_have_text("optimizer.lr", timeout=PATIENCE)
    shown = [text.strip() for text in boxes.all_inner_texts()]
    assert shown[:2] == ["optimizer.lr", "seed"]  # in which the runs differ
    assert {"data.batch_size", "model.hidden"} < {*shown}
    assert not any("baselines" in name for name in shown)  # which change nothing about the network
    for name in RUNS:
        expect(page.get_by_text(name, exact=True).filter(visible=True).first).to_be_visible()


def check_images(page: Page, address: str, sweep: Path) -> None:
    [folder] = sweep.glob("*/figures")
    page.goto(f"{address}/#images")
    for path in folder.glob("*.png"):
        expect(page.get_by_text(f"visuals/{path.stem}", exact=True).first).to_be_visible(timeout=PATIENCE)
    image = page.locator("tf-image-loader img").first
    expect(image).to_be_visible(timeout=PATIENCE)
    page.wait_for_function("image => image.naturalWidth > 300", arg=image.element_handle(), timeout=PATIENCE)
