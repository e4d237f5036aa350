"""What a step of one member costs in stacks of many sizes: from which size on more members gain nothing."""

from collections.abc import Callable
from statistics import median

from benchmarks import limit, ours
from benchmarks.arguments import Benchmark, Count, Counts
from benchmarks.report import Report, grid
from benchmarks.timing import Key, Times, alternate, digits
from mlplab.sweeps.stack_size import StackSize

NETWORKS = {
    "2×16": (16,) * 2,
    "2×64": (64,) * 2,
    "3×128": (128,) * 3,
    "3×256": (256,) * 3,
    "2×512": (512,) * 2,
}
BATCHES = (32, 100, 256)
FEATURES = 8
WORK = 1e10
"""Operations of a training, from which follows its number of steps."""
FEWEST, MOST = 9, 96
"""Steps of a training, of which the first third is not timed: memory is still being found then."""
TOLERANCE = 0.05
"""By how much a cost may exceed the lowest and count as the same."""


class Stack(Benchmark):
    """The arguments of this benchmark."""

    repeats: Count = 2
    output: str = "outputs/benchmarks/stack.json"
    members: Counts = (1, 2, 4, 8, 16, 32, 64, 128)


def measure(arguments: Stack) -> Report:
    """Times a step of each network at each batch in each stack."""
    contenders: dict[Key, Callable[[], float]] = {
        (network, batch, members): _contender(hidden, batch, members)
        for network, hidden in NETWORKS.items()
        for batch in BATCHES
        for members in arguments.members
    }
    times = alternate(contenders, arguments.repeats)
    sizes = [str(members) for members in arguments.members]
    caption = (
        f"medians of {arguments.repeats}; spread: the largest of a row's longest over shortest; "
        f"enough: the least members whose cost is within {TOLERANCE:.0%} of the row's lowest; "
        "chosen: by a sweep"
    )
    title = "microseconds of one member in one step, by members in the stack"
    table = grid(title, "hidden", "batch", *sizes, "spread", "enough", "chosen", caption=caption)
    enough: dict[str, dict[int, int]] = {}
    for network in NETWORKS:
        enough[network] = {}
        for batch in BATCHES:
            costs = {members: times[network, batch, members] for members in arguments.members}
            enough[network][batch] = _enough(costs)
            figures = [digits(each.median * 1e6) for each in costs.values()]
            spread = max(each.high / each.low for each in costs.values())
            chosen = StackSize((FEATURES, *NETWORKS[network], 1), batch, steps=1, itemsize=4).members()
            counts = str(enough[network][batch]), str(chosen)
            table.add_row(network, str(batch), *figures, f"{spread:.2f}×", *counts)
        table.add_section()
    return Report(arguments, [table], times, {"enough": enough})


def _contender(hidden: tuple[int, ...], batch: int, members: int) -> Callable[[], float]:
    flop = limit.step_flop(FEATURES, hidden, batch) * members
    steps = min(max(round(WORK / flop), FEWEST), MOST)
    overrides = (
        "data=synthetic",
        f"data.features={FEATURES}",
        f"data.rows={round(steps * batch / 0.8)}",
        *ours.SPLIT,
        *ours.SAME_ARITHMETIC,
        *ours.shape(hidden, batch),
        "trainer.max_epochs=1",
        "logger=[]",
    )

    def seconds() -> float:
        [epoch] = ours.train_timed(overrides, members)
        return median(epoch.step_seconds[steps // 3 :]) / members

    return seconds


def _enough(costs: dict[int, Times]) -> int:
    lowest = min(each.median for each in costs.values())
    return next(members for members, each in costs.items() if each.median <= (1 + TOLERANCE) * lowest)
