"""The command that makes the screenshots of the docs."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyte
import pytest
from chromium import CHROMIUM
from PIL import Image
from playwright.sync_api import Browser
from screenshots import terminal_image
from support import ROOT

IMAGES = ROOT / "docs/images"


def test_lines_of_tables_are_whole(browser: Browser, tmp_path: Path) -> None:
    screen = pyte.Screen(80, 60)
    pyte.ByteStream(screen).feed("┏━━━┳━━━┓\r\n┃ a ┃ b ┃\r\n┡━━━╇━━━┩\r\n│ 1 │ 2 │\r\n└───┴───┘".encode())
    terminal_image(browser, screen, tmp_path / "table.png")
    border = np.asarray(Image.open(tmp_path / "table.png").convert("L"))[:, 20:29]
    drawn = np.flatnonzero(border.max(1) > 100)
    assert len(drawn) > 60
    assert (np.diff(drawn) == 1).all()


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt-get install chromium")
def test_the_screenshots_of_the_docs_are_made(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "scripts/screenshots.py", f"output={tmp_path / 'images'}"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=900)
    made = {path.name for path in (tmp_path / "images").iterdir()}
    assert made == {path.name for path in IMAGES.iterdir()}
    assert all((tmp_path / "images" / name).read_bytes().startswith(b"\x89PNG") for name in made)
