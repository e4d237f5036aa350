"""The time of a whole sweep over seeds, as a process: start, reading, training, testing, writing."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.table import Table

from benchmarks import ours
from benchmarks.arguments import Benchmark, Count, Counts, Rate, TwoCounts
from benchmarks.child import seconds_of
from benchmarks.machine import ROOT
from benchmarks.report import Report, grid
from benchmarks.timing import Key, Times, alternate, digits, ratio, shown

OURS, USUAL, SKLEARN = "mlplab", "Lightning as usually written", "scikit-learn's GridSearchCV"
HIDDEN, BATCH = (64, 64), 100
OVERRIDES = (*ours.TABLE, *ours.SAME_ARITHMETIC, *ours.shape(HIDDEN, BATCH), "figures=none")


class Sweep(Benchmark):
    """The arguments of this benchmark."""

    repeats: Count = 3
    output: str = "outputs/benchmarks/sweep.json"
    epochs: Count = 10
    runs: Counts = (1, 64, 512)
    lightning: TwoCounts = (4, 12)
    sklearn: TwoCounts = (8, 32)
    full: bool = False
    dropout: Rate = 0.0


def measure(arguments: Sweep) -> Report:
    """Times every contender at its sizes, and extrapolates the peers to the others'."""
    sizes: dict[str, Sequence[int]] = {OURS: arguments.runs, USUAL: arguments.runs, SKLEARN: arguments.runs}
    if not arguments.full:
        sizes |= {USUAL: arguments.lightning, SKLEARN: arguments.sklearn}
    with TemporaryDirectory() as folder:
        rows = Path(folder, "rows.npz")
        ours.rows_of(ours.config(*OVERRIDES)).save(rows)
        contenders: dict[Key, Callable[[], float]] = {
            (name, runs): partial(_seconds, arguments, name, rows, runs)
            for name, each in sizes.items()
            for runs in each
        }
        measured = alternate(contenders, arguments.repeats)
    extrapolated: dict[Key, Times] = {}
    for name, (low, high) in {USUAL: arguments.lightning, SKLEARN: arguments.sklearn}.items():
        for runs in arguments.runs:
            if (name, runs) not in measured:
                extrapolated[name, runs, "extrapolated"] = _extrapolated(measured, name, low, high, runs)
    times = measured | extrapolated
    return Report(arguments, [_beside_peers(arguments, times), _alone(arguments, times)], times, facts={})


def _seconds(arguments: Sweep, name: str, rows: Path, runs: int) -> float:
    """Of one process."""
    numbers = [str(number) for number in (runs, arguments.epochs, BATCH, *HIDDEN)]
    with TemporaryDirectory() as folder:
        commands = {
            OURS: [
                str(ROOT / "scripts" / "train.py"),
                *(["seed=0"] if runs == 1 else ["-m", f"seed=range({runs})"]),
                *OVERRIDES,
                f"trainer.max_epochs={arguments.epochs}",
                f"model.dropout={arguments.dropout}",
                f"hydra.{'run' if runs == 1 else 'sweep'}.dir={folder}/runs",
            ],
            USUAL: ["-m", "benchmarks.lightning_usual", str(rows), folder, *numbers],
            SKLEARN: ["-m", "benchmarks.sklearn_grid", str(rows), *numbers],
        }
        return seconds_of(name, *commands[name])


def _extrapolated(measured: dict[Key, Times], name: str, low: int, high: int, runs: int) -> Times:
    """On the line through the times of two sizes, repeat by repeat."""
    pairs = zip(measured[name, low].seconds, measured[name, high].seconds, strict=True)
    return Times([first + (second - first) / (high - low) * (runs - low) for first, second in pairs])


def _beside_peers(arguments: Sweep, times: dict[Key, Times]) -> Table:
    caption = (
        None
        if arguments.full
        else "≈ extrapolated on a line (start + slope) from "
        f"{' and '.join(map(str, arguments.lightning))} runs of Lightning, "
        f"{' and '.join(map(str, arguments.sklearn))} fits of scikit-learn"
    )
    network = (
        f"8-{'-'.join(map(str, HIDDEN))}-1, {BATCH} rows a step of 10,000, {arguments.epochs} epochs a run"
    )
    columns = ("median", "min – max", "a run", "of mlplab")
    table = grid(f"sweeps over seeds: {network}", "seconds of a process", "runs", *columns, caption=caption)
    for runs in arguments.runs:
        for name in (OURS, USUAL, SKLEARN):
            exact = times.get((name, runs))
            each, about = (exact, "") if exact else (times[name, runs, "extrapolated"], "≈ ")
            figures = f"{about}{shown(each.median)}", each.spread(), shown(each.median / runs)
            table.add_row(name, str(runs), *figures, ratio(each, times[OURS, runs]))
        table.add_section()
    return table


def _alone(arguments: Sweep, times: dict[Key, Times]) -> Table:
    table = grid(
        "mlplab's own growth", "sweep", f"time over {arguments.runs[0]}'s", "a run's over the size before"
    )
    for before, runs in pairwise(arguments.runs):
        whole, first, smaller = (times[OURS, each].median for each in (runs, arguments.runs[0], before))
        table.add_row(
            f"{runs} runs", f"{digits(whole / first)}×", f"{whole / runs / (smaller / before):.3g}×"
        )
    return table
