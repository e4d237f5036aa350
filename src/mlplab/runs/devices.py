"""What a run on several devices needs. Imports no torch."""

import os

from mlplab.config import Mlp, TrainConfig
from mlplab.errors import Fault, UserError


def check_devices(run: TrainConfig, *, resume: bool) -> None:
    """Checks that a run can be trained on its number of devices.

    Args:
        resume: whether the run is resumed, perhaps on a machine with fewer cores.

    Raises:
        UserError: if there are fewer cores, its network mixes the rows of a batch, or its processes were
            started by another program.
    """
    if run.trainer.devices == 1:
        return
    where = f"trainer.devices={run.trainer.devices}"
    if isinstance(run.model, Mlp) and run.model.norm == "batch":
        what = "cannot train with model.norm=batch, since each process would normalise by its own rows only"
        raise UserError(Fault(what, where, remedy="use model.norm=layer, or trainer.devices=1"))
    if "LOCAL_RANK" in os.environ:
        what = "starts its processes itself, and was started as one of several (LOCAL_RANK is set)"
        raise UserError(Fault(what, where, remedy="start the command once, without torchrun"))
    cores = available_cores()
    if run.trainer.devices > cores and run.trainer.accelerator != "cuda" and not resume:
        what = f"needs as many cores, and this machine has {cores}"
        remedy = f"use trainer.devices={cores} or fewer; for GPUs, set trainer.accelerator=cuda"
        raise UserError(Fault(what, where, remedy=remedy))


def core_warnings(run: TrainConfig) -> list[str]:
    """A warning about a run on the CPU that has more threads than there are cores."""
    threads, cores = run.trainer.devices * run.threads, available_cores()
    if run.trainer.devices == 1 or threads <= cores:
        return []
    what = f"trainer.devices={run.trainer.devices}" + f" with threads={run.threads}" * (run.threads > 1)
    return [f"{what} needs {threads} cores, and there are {cores}: this takes longer than fewer devices"]


def available_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
