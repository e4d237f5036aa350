"""The command that makes the screenshots of the docs."""

import subprocess
import sys
from pathlib import Path

import pytest
from chromium import CHROMIUM
from support import ROOT

IMAGES = ROOT / "docs/images"


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt-get install chromium")
def test_the_screenshots_of_the_docs_are_made(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "scripts/screenshots.py", f"output={tmp_path / 'images'}"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=900)
    made = {path.name for path in (tmp_path / "images").iterdir()}
    assert made == {path.name for path in IMAGES.iterdir()}
    assert all((tmp_path / "images" / name).read_bytes().startswith(b"\x89PNG") for name in made)
