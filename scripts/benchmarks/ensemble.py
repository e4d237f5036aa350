"""What an ensemble costs: the seconds of its training beside those of one network."""

from collections.abc import Callable
from functools import partial

from benchmarks import ours
from benchmarks.arguments import Benchmark, Count, Counts
from benchmarks.report import Report, grid
from benchmarks.timing import Key, alternate, ratio, shown

ROWS = (*ours.TABLE, "data.noise=1", "baselines=[]", "logger=[]")
NETWORKS = {
    "3×256, batches of 256": (*ROWS, *ours.shape((256,) * 3, 256), "trainer.max_epochs=5"),
    "2×64, batches of 100": (*ROWS, *ours.shape((64,) * 2, 100), "trainer.max_epochs=20"),
    "default for 1,000 rows": (*ROWS, "data.rows=1000", "data.split.val=0.15", "data.split.test=0.15"),
}
"""The first two have 10,000 training rows of 8 columns."""


class Ensemble(Benchmark):
    """The arguments of this benchmark."""

    repeats: Count = 3
    output: str = "outputs/benchmarks/ensemble.json"
    members: Counts = (1, 8)


def measure(arguments: Ensemble) -> Report:
    """Times whole trainings, in turn."""
    contenders: dict[Key, Callable[[], float]] = {
        (network, members): partial(ours.training_seconds, (*overrides, f"ensemble={members}"))
        for network, overrides in NETWORKS.items()
        for members in arguments.members
    }
    times = alternate(contenders, arguments.repeats)
    title = "seconds of training by members of the ensemble"
    table = grid(title, "network", "members", "median", "of one network", "shortest to longest")
    for network in NETWORKS:
        first = times[network, arguments.members[0]]
        for members in arguments.members:
            each = times[network, members]
            table.add_row(network, str(members), shown(each.median), ratio(each, first), each.spread())
        table.add_section()
    return Report(arguments, [table], times, {})
