"""Makes the screenshots of the docs: trains runs, and opens terminal, TensorBoard, report and film.

python scripts/screenshots.py output=docs/images

  output=FOLDER  gets terminal-….png, tensorboard-….png, report-….png and film-….png

It takes some minutes, and needs Chromium and what `uv sync` installs.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pyte
from chromium import HEIGHT, WIDTH, opened_browser, tensorboard

from mlplab.cli.exit_status import exit_status
from mlplab.cli.read_arguments import read_arguments
from mlplab.cli.terminal import print_usage
from mlplab.commands.arguments import Arguments
from mlplab.config.types import Text
from mlplab.errors import RunFailed

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[1]
COLUMNS, LINES = 80, 60  # of the terminal
TRAININGS: dict[str, Sequence[str]] = {  # the arguments of train.py by the name of a picture
    "run": ("name=run",),
    "classes": ("name=classes", "data=penguins"),
    "sweep": ("-m", "name=sweep", "optimizer.lr=0.001,0.003,0.01", "model.dropout=0,0.1", "seed=range(3)"),
}

TENSORBOARD = {"time-series": "timeseries", "hparams": "hparams"}
"""The tabs of TensorBoard by the name of a picture."""

NOISY = ("data.rows=80", "data.noise=0.3", "data.split.val=0.4", "model.hidden=[40,30]")
SURFACE = "#maps > div"

FILMS: dict[str, tuple[Sequence[str], Sequence[tuple[int | None, str, str]]]] = {
    "article": (
        (),
        (
            (None, "#worked", "numbers"),
            *((step, SURFACE, f"surface-{step}") for step in (0, 20, 100, 1000)),
            *((1000, ".panels", "end"), (0, ".panels", "start")),
        ),
    ),
    "plane": (("model.hidden=[]",), [(1000, SURFACE, "plane")]),
    "one-unit": (("model.hidden=[1]",), [(1000, SURFACE, "one-unit")]),
    "sixteen-units": (("model.hidden=[16]",), [(1000, SURFACE, "sixteen-units")]),
    "overfitting": (NOISY, [(1000, ".losses", "overfitting")]),
}
"""What is changed of `experiment=article`; and of each picture the step, the part of the page, its name."""

STYLE = """
body { margin: 0; background: #1d1f21 }
pre { display: inline-block; margin: 0; padding: 16px 20px; color: #d5d8d6; background: #1d1f21;
      font: 16px/19px "DejaVu Sans Mono", monospace }
"""
"""Lines are as high as characters, or those that draw tables would not touch."""

COLOURS = {"default": "#d5d8d6", "red": "#e06c75", "green": "#98c379", "brown": "#d9b36c", "blue": "#61afef"}
COLOURS |= {"magenta": "#c678dd", "cyan": "#56b6c2", "white": "#ffffff", "black": "#5c6370"}


class Screenshots(Arguments):
    """The arguments of this command."""

    output: Text


def screenshots(arguments: Screenshots) -> None:
    """Writes the pictures."""
    output = Path(arguments.output).resolve()
    output.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder, opened_browser() as browser:
        here = Path(folder)
        (here / "scripts").symlink_to(ROOT / "scripts")
        for name, words in TRAININGS.items():
            terminal_image(browser, _shown(here, "train", *words), output / f"terminal-{name}.png")
        terminal_image(browser, _shown(here, "results", "outputs"), output / "terminal-results.png")
        _shown(here, "evaluate", "run=outputs/run", "importance=true")
        with tensorboard(here / "outputs/sweep") as address:
            for name, tab in TENSORBOARD.items():  # it draws when it has read the files, and says not when
                page = _opened(browser, f"{address}/#{tab}", 8)
                page.screenshot(path=output / f"tensorboard-{name}.png")
                page.close()
        for name in TRAININGS:
            _shown(here, "report", f"outputs/{name}")
            page = _opened(browser, (here / f"outputs/{name}/report.html").as_uri(), 3)
            page.set_viewport_size({"width": WIDTH, "height": 2 * HEIGHT})
            page.screenshot(path=output / f"report-{name}.png")
        for name, (words, parts) in FILMS.items():
            article = ("experiment=article", "figures=none", "baselines=[]")
            _shown(here, "train", f"name={name}", *article, *words)
            page = _opened(browser, (here / f"outputs/{name}/film.html").as_uri())
            page.set_viewport_size({"width": WIDTH, "height": 3 * HEIGHT})  # so that it does not scroll
            for step, part, picture in parts:
                if step is not None:
                    number = page.evaluate(f"steps.indexOf({step})")
                    page.get_by_role("slider", name="Step").fill(str(number))
                page.locator(part).first.screenshot(path=output / f"film-{picture}.png")
    print(output)


def _opened(browser: "Browser", address: str, seconds: int = 0) -> "Page":
    """A page, some seconds after it was opened."""
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    page.goto(address)
    page.wait_for_timeout(1000 * seconds)
    return page


def _shown(here: Path, script: str, *words: str) -> pyte.Screen:
    """What a command shows in a terminal when it has ended; raises RunFailed if it fails."""
    typed = ["python", f"scripts/{script}.py", *words]
    run = f"stty cols {COLUMNS} rows {LINES}; exec {shlex.join([sys.executable, *typed[1:]])}"
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    command = ["script", "--quiet", "--return", "--command", run, os.devnull]  # gives it a terminal
    ended = subprocess.run(command, cwd=here, stdout=subprocess.PIPE, env=environment, check=False)
    screen = pyte.Screen(COLUMNS, LINES)
    pyte.ByteStream(screen).feed(f"$ {' '.join(typed)}\r\n".encode() + ended.stdout)
    if ended.returncode:
        shown = "\n".join(screen.display)
        raise RunFailed(f"{' '.join(typed)} ended with status {ended.returncode}:\n{shown}")
    return screen


def terminal_image(browser: "Browser", screen: pyte.Screen, path: Path) -> None:
    """Draws the lines of a terminal."""
    html = ""
    for line in (screen.buffer[number] for number in range(screen.cursor.y + 1)):
        cells = map(line.__getitem__, range(COLUMNS))
        for (colour, bold), run in groupby(cells, lambda cell: (cell.fg, cell.bold)):
            style = f"color:{COLOURS.get(colour, f'#{colour}')};font-weight:{700 if bold else 400}"
            html += f'<span style="{style}">{escape("".join(cell.data for cell in run))}</span>'
        html += "\n"
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    page.set_content(f"<style>{STYLE}</style><pre>{html.rstrip()}</pre>")
    page.locator("pre").screenshot(path=path)


if __name__ == "__main__":
    print_usage(sys.argv[1:], __doc__)
    sys.exit(exit_status(lambda: screenshots(read_arguments(sys.argv[1:], Screenshots))))
