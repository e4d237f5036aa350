"""A browser and a TensorBoard to look at: for screenshots and tests."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from mlplab.errors import Fault, RunFailed, UserError

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
"""The browser that is installed; None if there is none."""

WIDTH, HEIGHT = 1280, 800  # pixels of a page


@contextmanager
def opened_browser() -> Iterator["Browser"]:
    """Chromium without a window; raises UserError if Playwright or Chromium is missing."""
    if not find_spec("playwright"):
        raise UserError(Fault("is not installed", "playwright", remedy='uv sync, or pip install -e ".[dev]"'))
    if CHROMIUM is None:
        raise UserError(Fault("is not installed", "Chromium", remedy="apt-get install chromium"))
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def tensorboard(folder: Path) -> Iterator[str]:
    """Runs TensorBoard on a folder; yields its address; raises RunFailed if it does not start."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        address = next(filter(None, (re.search(r"http://\S+", line) for line in process.stderr)), None)
        rest = Thread(target=process.stderr.read)  # or the pipe would fill
        rest.start()
        try:
            if address is None:
                raise RunFailed("TensorBoard did not start")
            yield address[0].rstrip("/")
        finally:
            process.terminate()
            rest.join()
