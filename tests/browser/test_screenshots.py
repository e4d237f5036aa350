"""The command that makes the screenshots of the docs."""

from pathlib import Path

import pytest
from benchmarks.browser import CHROMIUM
from support import ROOT, process

IMAGES = ROOT / "docs/images"


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt-get install chromium")
def test_the_screenshots_of_the_docs_are_made(tmp_path: Path) -> None:
    ended = process([str(ROOT / "scripts/screenshots.py"), f"output={tmp_path / 'images'}"], tmp_path)
    assert ended.status == 0, ended
    made = {path.name for path in (tmp_path / "images").iterdir()}
    assert made == {path.name for path in IMAGES.iterdir()}
    assert all((tmp_path / "images" / name).read_bytes().startswith(b"\x89PNG") for name in made)
