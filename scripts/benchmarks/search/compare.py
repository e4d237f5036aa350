"""Variants of a search, as whole commands: in lockstep or one trial at a time, with and without pruning."""

import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from rich.table import Table

from benchmarks.arguments import Benchmark, Count
from benchmarks.child import seconds_of
from benchmarks.report import Report, grid
from benchmarks.search.command import MONITOR, SHAPE, WIDTHS, search_words
from benchmarks.search.folder import best_of, metrics_of
from benchmarks.timing import Key, Times, digits, ratio, shown


class Searches(Benchmark):
    """The arguments of these benchmarks; each repeat has another seed."""

    repeats: Count = 5
    trials: Count = 64
    batch: Count = 16
    epochs: Count = 400  # the default of the table


@dataclass(frozen=True)
class Searched:
    """What a search took and found.

    Attributes:
        best: the lowest validation error.
        epochs: of all trials together.
        ended: how many trials ended in which status.
    """

    seconds: float
    best: float
    epochs: int
    ended: Mapping[str, int]


Variants = Mapping[str, tuple[str, ...]]
"""Further words of the command, by the name of the variant."""


def lockstep(arguments: Searches) -> Report:
    """Batches in lockstep, and one trial at a time."""
    return _compare(arguments, "2 × 64 units", _batches(arguments, SHAPE))


def widths(arguments: Searches) -> Report:
    """The same where widths are searched too, so that a batch is several stacks."""
    return _compare(arguments, "widths searched too", _batches(arguments, WIDTHS))


def pruning(arguments: Searches) -> Report:
    """Pruned and not."""
    shared = (*SHAPE, f"sweep.batch={arguments.batch}")
    kinds = ("none", "halving", "hyperband")
    variants = {f"pruning={kind}": (*shared, f"sweep.pruning={kind}") for kind in kinds}
    return _compare(arguments, "2 × 64 units", variants)


def _batches(arguments: Searches, words: tuple[str, ...]) -> Variants:
    sizes = {f"batches of {arguments.batch}": arguments.batch, "one trial at a time": 1}
    return {name: (*words, f"sweep.batch={batch}") for name, batch in sizes.items()}


def _compare(arguments: Searches, network: str, variants: Variants) -> Report:
    """Searches with each seed, in an order that alternates."""
    found: dict[str, list[Searched]] = {name: [] for name in variants}
    for seed in range(arguments.repeats):
        for name in [*variants][:: -1 if seed % 2 else 1]:
            last = _searched(arguments, variants[name], seed)
            found[name].append(last)
            print(f"seed {seed}, {name}: {shown(last.seconds)}, {MONITOR} {last.best:.4g}", file=sys.stderr)
    times: dict[Key, Times] = {(name,): Times([each.seconds for each in own]) for name, own in found.items()}
    facts = {"searches": {name: [asdict(each) for each in searches] for name, searches in found.items()}}
    return Report(arguments, [_table(arguments, network, found)], times, facts)


def _searched(arguments: Searches, words: tuple[str, ...], seed: int) -> Searched:
    with TemporaryDirectory() as name:
        sweep = Path(name, "sweep")
        command = search_words(sweep, arguments.trials, arguments.epochs, seed, *words)
        return searched(sweep, seconds_of("the search", *command))


def searched(sweep: Path, seconds: float) -> Searched:
    """What is in the folder of a search that took so many seconds."""
    metrics = metrics_of(sweep).values()
    epochs = sum(each.get("epochs") or 0 for each in metrics)
    ended = dict(Counter(each["status"] for each in metrics))
    return Searched(seconds, float(best_of(sweep)["value"]), epochs, ended)


def _table(arguments: Searches, network: str, found: Mapping[str, list[Searched]]) -> Table:
    """The first is the base of all ratios; those of errors are medians over seeds."""
    title = (
        f"searches on concrete, {network}: {arguments.trials} trials of up to {arguments.epochs} epochs, "
        f"{arguments.repeats} seeds"
    )
    base = next(iter(found.values()))
    columns = ("seconds", "min – max", "ratio", f"best {MONITOR}", "ratio", "epochs", "ratio", "pruned")
    table = grid(title, "", *columns, caption="medians over seeds, of whole commands")
    for name, searches in found.items():
        times, base_times = (Times([each.seconds for each in some]) for some in (searches, base))
        epochs, base_epochs = (median(each.epochs for each in some) for some in (searches, base))
        errors = [each.best / other.best for each, other in zip(searches, base, strict=True)]
        table.add_row(
            name,
            *(shown(times.median), times.spread(), ratio(times, base_times)),
            *(f"{median(each.best for each in searches):.4g}", f"{median(errors):.3f}×"),
            *(f"{epochs:,.0f}", f"{digits(epochs / base_epochs)}×"),
            f"{median(each.ended.get('pruned', 0) for each in searches):g}",
        )
    return table
