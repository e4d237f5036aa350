"""What TensorBoard shows of a sweep, in a real browser."""

import re
from pathlib import Path

import pytest
from chromium import tensorboard
from playwright.sync_api import Page, expect
from support import ROOT, SMALL, events_of, process

RUNS = [f"lr={lr},seed={seed}" for lr in ("0.001", "0.03") for seed in (0, 1)]
PATIENCE = 60_000
"""Milliseconds; TensorBoard reads the files in the background."""


@pytest.mark.slow(ci=True)
def test_tensorboard_shows_a_sweep(page: Page, tmp_path: Path) -> None:
    words = ("-m", *SMALL, "optimizer.lr=0.001,0.03", "seed=0,1", "name=s")
    ended = process([str(ROOT / "scripts/train.py"), *words], tmp_path)
    assert ended.status == 0, ended
    sweep = tmp_path / "outputs/s"
    with tensorboard(sweep) as address:
        page.goto(address)
        card = page.locator("scalar-card").first
        expect(card.locator("tb-truncated-path")).to_have_text(
            re.compile(r"train\s*/\s*loss"), timeout=PATIENCE
        )
        for name in RUNS:
            row = card.locator("tb-data-table-content-row", has_text=name)
            expect(row).to_be_visible(timeout=PATIENCE)
            last = events_of(sweep / name).Scalars("train/loss")[-1]
            _, _smoothed, value, step, *_ = row.inner_text().split()
            assert (float(value), int(step)) == (pytest.approx(last.value, rel=1e-4), last.step)
        page.goto(f"{address}/#hparams")
        boxes = page.locator("tf-hparams-query-pane .hparam-checkbox")
        expect(boxes.first).to_have_text("optimizer.lr", timeout=PATIENCE)
        shown = [text.strip() for text in boxes.all_inner_texts()]
        assert shown[:2] == ["optimizer.lr", "seed"]  # in which the runs differ
