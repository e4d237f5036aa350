"""Makes the screenshots of the docs: trains runs, and opens terminal, TensorBoard, report and film.

python scripts/screenshots.py output=docs/images

  output=FOLDER  gets terminal-….png, tensorboard-….png, report-….png and film-….png

It takes some minutes, and needs Chromium and what `uv sync` installs.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pyte
from chromium import HEIGHT, WIDTH, opened_browser, tensorboard
from pyte.screens import Char

from mlplab.cli.arguments import read_arguments
from mlplab.cli.terminal import exit_status, print_usage
from mlplab.commands.arguments import Arguments
from mlplab.config.types import Text
from mlplab.errors import RunFailed

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parents[1]
COLUMNS, LINES = 80, 60  # of the terminal

TRAININGS: dict[str, Sequence[str]] = {
    "run": ("name=run",),
    "classes": ("name=classes", "data=penguins"),
    "sweep": ("-m", "name=sweep", "optimizer.lr=0.001,0.003,0.01", "model.dropout=0,0.1", "seed=range(3)"),
}
"""The arguments of train.py by the name of a picture."""

TENSORBOARD = {"time-series": "timeseries", "hparams": "hparams", "images": "images"}
"""The tabs of TensorBoard by the name of a picture."""

NOISY = ("data.rows=80", "data.noise=0.3", "data.split.val=0.4", "model.hidden=[40,30]")

FILMS: dict[str, Sequence[str]] = {
    "article": (),
    "plane": ("model.hidden=[]",),
    "one-unit": ("model.hidden=[1]",),
    "sixteen-units": ("model.hidden=[16]",),
    "overfitting": NOISY,
}
"""What is changed of `experiment=article`, by the name of a film."""

SURFACES = (0, 20, 100, 1000)  # steps whose surfaces are shown
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
                _page_image(browser, f"{address}/#{tab}", 8, HEIGHT, output / f"tensorboard-{name}.png")
        for name in TRAININGS:
            _shown(here, "report", f"outputs/{name}")
            report = (here / f"outputs/{name}/report.html").as_uri()
            _page_image(browser, report, 3, 2 * HEIGHT, output / f"report-{name}.png")
        for name, words in FILMS.items():
            article = ("experiment=article", "figures=none", "baselines=[]")
            _shown(here, "train", f"name={name}", *article, *words)
            _film(browser, here / f"outputs/{name}/film.html", name, output)
    print(output)


def _page_image(browser: "Browser", address: str, seconds: int, height: int, path: Path) -> None:
    """A picture of a page, some seconds after it was opened."""
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    page.goto(address)
    page.wait_for_timeout(1000 * seconds)
    page.set_viewport_size({"width": WIDTH, "height": height})
    page.screenshot(path=path)
    page.close()


def _film(browser: "Browser", path: Path, name: str, output: Path) -> None:
    """Pictures of parts of a film."""
    page = browser.new_page(viewport={"width": WIDTH, "height": 3 * HEIGHT})  # so that it does not scroll
    page.goto(path.as_uri())
    slider, surface = page.get_by_role("slider", name="Step"), page.locator("#maps > div").first

    def at(step: int) -> None:
        slider.fill(str(page.evaluate(f"steps.indexOf({step})")))

    def shot(part: str, picture: str) -> None:
        page.locator(part).first.screenshot(path=output / f"film-{picture}.png")

    if name == "article":
        shot("#worked", "numbers")
        for step in SURFACES:
            at(step)
            surface.screenshot(path=output / f"film-surface-{step}.png")
        shot(".panels", "end")
        at(0)
        shot(".panels", "start")
    else:
        at(1000)
        shot(".losses" if name == "overfitting" else "#maps > div", name)
    page.close()


def _shown(here: Path, script: str, *words: str) -> pyte.Screen:
    """What a command shows in a terminal when it has ended; raises RunFailed if it fails."""
    typed = ["python", f"scripts/{script}.py", *words]
    run = f"stty cols {COLUMNS} rows {LINES}; exec {shlex.join([sys.executable, *typed[1:]])}"
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    command = ["script", "--quiet", "--return", "--command", run, os.devnull]  # gives it a terminal
    ended = subprocess.run(command, cwd=here, stdout=subprocess.PIPE, env=environment, check=False)
    pyte.ByteStream(screen := pyte.Screen(COLUMNS, LINES)).feed(
        f"$ {' '.join(typed)}\r\n".encode() + ended.stdout
    )
    if ended.returncode:
        raise RunFailed(
            f"{' '.join(typed)} ended with status {ended.returncode}:\n" + "\n".join(screen.display)
        )
    return screen


def terminal_image(browser: "Browser", screen: pyte.Screen, path: Path) -> None:
    """Draws the lines of a terminal."""
    lines = [_line(screen.buffer[number]) for number in range(screen.cursor.y + 1)]
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    page.set_content(f"<style>{STYLE}</style><pre>{chr(10).join(lines).rstrip()}</pre>")
    page.locator("pre").screenshot(path=path)
    page.close()


def _line(characters: Mapping[int, Char]) -> str:
    """A line as HTML."""
    parts = groupby(map(characters.__getitem__, range(COLUMNS)), lambda each: (each.fg, each.bold))
    return "".join(
        f'<span style="color:{COLOURS.get(colour, f"#{colour}")};font-weight:{700 if bold else 400}">'
        f"{escape(''.join(character.data for character in run))}</span>"
        for (colour, bold), run in parts
    )


if __name__ == "__main__":
    print_usage(sys.argv[1:], __doc__)
    sys.exit(exit_status(lambda: screenshots(read_arguments(sys.argv[1:], Screenshots))))
