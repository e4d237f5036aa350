"""The devices and cores that runs may use. Imports no torch."""

import os

from mlplab.config import TrainConfig
from mlplab.errors import Fault, UserError


def check_devices(run: TrainConfig) -> None:
    """Checks that a single run asks for a single device.

    Raises:
        UserError: otherwise.
    """
    if run.trainer.devices > 1:
        what = "one run trains on one device"
        remedy = "use trainer.devices=1, or train several runs: -m 'seed=range(8)' trainer.devices=2"
        raise UserError(Fault(what, f"trainer.devices={run.trainer.devices}", remedy=remedy))


def available_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
