"""What pictures cost: figures at the end of a run and of a sweep, and opening TensorBoard and the report."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from time import perf_counter

from rich.table import Table

from benchmarks.arguments import Benchmark, Count, Counts
from benchmarks.browser import opened_browser, tensorboard
from benchmarks.child import run_script
from benchmarks.report import Report, grid
from benchmarks.timing import Key, Times, alternate, ratio, shown

NARROW = ("model.hidden=[8]", "model.periodic_features=0", "baselines=[linear]")
"""Networks that train fast: their event files are as long as those of others."""

PATIENCE = 300_000
"""Milliseconds until TensorBoard must have opened."""

RUN = "runs-data-table tb-data-table-content-row"
"""A run on TensorBoard's page."""

EVERYTHING = "runs-data-table tb-data-table-header-cell input[type=checkbox]"
"""The box that selects all runs."""

DRAWN = "scalar-card tb-data-table-content-row"
"""What is on TensorBoard's page when it has drawn the first chart and listed its values."""


class Pictures(Benchmark):
    """The arguments of this benchmark."""

    repeats: Count = 3
    output: str = "outputs/benchmarks/pictures.json"
    runs: Counts = (1, 64)
    look: Counts = (1, 64, 512)
    epochs: Count = 400


def measure(arguments: Pictures) -> Report:
    """Times training with and without figures, then looks at sweeps."""
    with TemporaryDirectory() as folder:
        here = Path(folder)
        trainings: dict[Key, Callable[[], float]] = {
            (runs, figures): partial(_training, here, runs, f"figures={figures}")
            for runs in arguments.runs
            for figures in ("none", "auto")
        }
        times = alternate(trainings, arguments.repeats)
        looks: dict[Key, Callable[[], float]] = {}
        sizes = {}
        for runs in arguments.look:
            _train(here, runs, f"name=look-{runs}", f"trainer.max_epochs={arguments.epochs}", *NARROW)
            sweep = here / f"outputs/look-{runs}"
            looks |= {
                (runs, "TensorBoard"): partial(_opening, sweep),
                (runs, "report"): partial(_report, sweep),
            }
        times |= alternate(looks, arguments.repeats)
        for runs in arguments.look:
            sizes[str(runs)] = (here / f"outputs/look-{runs}/report.html").stat().st_size
    tables = [_training_table(arguments, times), _look_table(arguments, times, sizes)]
    return Report(arguments, tables, times, {"bytes of report.html": sizes})


def _training_table(arguments: Pictures, times: dict[Key, Times]) -> Table:
    table = grid(
        "seconds of the whole command, default network and table", "runs", "figures", "median", "ratio"
    )
    for runs in arguments.runs:
        for figures in ("none", "auto"):
            each = times[runs, figures]
            table.add_row(str(runs), figures, shown(each.median), ratio(each, times[runs, "none"]))
    return table


def _look_table(arguments: Pictures, times: dict[Key, Times], sizes: dict[str, int]) -> Table:
    title = f"opening TensorBoard, and writing report.html; {arguments.epochs} epochs"
    table = grid(title, "runs", "TensorBoard", "report", "its size")
    for runs in arguments.look:
        opening, report = times[runs, "TensorBoard"], times[runs, "report"]
        size = f"{sizes[str(runs)] / 2**20:.1f} MiB"
        table.add_row(str(runs), shown(opening.median), shown(report.median), size)
    return table


def _training(here: Path, runs: int, figures: str) -> float:
    """The seconds of a run, or of a sweep over seeds."""
    start = perf_counter()
    _train(here, runs, "name=timed", figures)
    seconds = perf_counter() - start
    rmtree(here / "outputs/timed")
    return seconds


def _train(here: Path, runs: int, *overrides: str) -> None:
    several = ["-m", f"seed=range({runs})"] if runs > 1 else []
    run_script("train", *several, *overrides, folder=here)


def _report(sweep: Path) -> float:
    """The seconds of the command."""
    start = perf_counter()
    run_script("report", str(sweep), folder=sweep.parent)
    return perf_counter() - start


def _opening(sweep: Path) -> float:
    """The seconds from the start of TensorBoard to the first chart in a browser."""
    with opened_browser() as browser:
        page = browser.new_page()
        start = perf_counter()
        with tensorboard(sweep) as address:
            page.goto(address)
            page.locator(RUN).first.wait_for(timeout=PATIENCE)
            everything = page.locator(EVERYTHING)
            if not everything.is_checked():  # TensorBoard selects no run if there are over 500
                everything.click()
            page.locator(DRAWN).first.wait_for(timeout=PATIENCE)
            return perf_counter() - start
