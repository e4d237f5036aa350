"""The devices and cores that runs may use. Imports no torch."""

import os

from mlplab.config import TrainConfig
from mlplab.errors import Fault, UserError


def check_devices(run: TrainConfig) -> None:
    """Checks that a run asks for a single device.

    Raises:
        UserError: otherwise.
    """
    if run.trainer.devices > 1:
        what = "one run trains on one device"
        devices = run.trainer.devices
        remedy = f"remove it; or train several runs: -m 'seed=range(8)' hydra.launcher.workers={devices}"
        raise UserError(Fault(what, f"trainer.devices={devices}", remedy=remedy))


def available_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
