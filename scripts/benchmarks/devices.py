"""One network in several processes on the CPU: the time of an epoch, beside one process."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from benchmarks.arguments import Benchmark, Count, Counts
from benchmarks.child import run_script
from benchmarks.report import Report, grid
from benchmarks.timing import Key, Times, alternate, ratio, shown

ROWS = 40_000

NETWORKS = {"2 × 64, 256 rows": ("64,64", 256), "2 × 1024, 4096 rows": ("1024,1024", 4096)}
"""Hidden layers and rows of a step of all processes."""


class Devices(Benchmark):
    """The arguments of this benchmark."""

    repeats: Count = 3
    output: str = "outputs/benchmarks/devices.json"
    devices: Counts = (1, 2)
    epochs: Count = 5


def measure(arguments: Devices) -> Report:
    """Times epochs, each in the training of a whole command."""
    contenders: dict[Key, Callable[[], float]] = {
        (network, devices): partial(_epoch, *NETWORKS[network], devices, arguments.epochs)
        for network in NETWORKS
        for devices in arguments.devices
    }
    times = alternate(contenders, arguments.repeats)
    table = grid(f"an epoch of {ROWS:,} rows, validation included", "network", "devices", "median", "ratio")
    for (network, devices), each in times.items():
        base: Times = times[network, arguments.devices[0]]
        table.add_row(str(network), str(devices), shown(each.median), ratio(each, base))
    return Report(arguments, [table], times, {"rows": ROWS})


def _epoch(hidden: str, rows: int, devices: int, epochs: int) -> float:
    """Median seconds from the end of an epoch to that of the next, by the times of TensorBoard's points."""
    with TemporaryDirectory() as folder:
        run_script(
            "train",
            *("data=synthetic", f"data.rows={ROWS}", f"model.hidden=[{hidden}]", "ensemble=1", "test=false"),
            *(f"data.batch_size={-(-rows // devices)}", f"trainer.devices={devices}", "baselines=[]"),
            *(f"trainer.max_epochs={epochs + 1}", "trainer.accelerator=cpu", "figures=none", "name=run"),
            folder=Path(folder),
        )
        events = EventAccumulator(f"{folder}/outputs/run")
        events.Reload()
        ends = [point.wall_time for point in events.Scalars("train/loss")]
    return median(later - earlier for earlier, later in pairwise(ends))
