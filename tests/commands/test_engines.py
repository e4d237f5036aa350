"""Sweeps on Slurm and in Ray; `tests/faults` tries what can go wrong there."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from slurm.fake_slurm import FakeSlurm
from support import ROOT, SMALL, Ended, left_behind, process

SCRIPT = os.fspath(ROOT / "scripts/train.py")
SWEEP = ("-m", *SMALL, "seed=0", "figures=none")


def as_in_one_process(command: Callable[..., Ended], here: Path, *engine: str) -> Ended:
    """Trains the sweep there and in this process, and compares what the runs leave."""
    assert command(*SWEEP, "name=one").status == 0
    ended = process([SCRIPT, *SWEEP, "name=s", *engine], here)
    assert ended.status == 0, ended
    assert left_behind(here / "outputs/one/run") == left_behind(here / "outputs/s/run")
    return ended


def test_slurm(command: Callable[..., Ended], slurm: FakeSlurm, tmp_path: Path) -> None:
    words = (
        *("partition=gpu", "minutes=30", "gpus=1", "memory_gib=2", "account=physics", "qos=low"),
        *("cpus=2", "setup=['export A=1']"),
    )
    engine = [f"hydra.launcher.engine.{word}" for word in words]
    further = "+hydra.launcher.engine.sbatch.constraint=a100"
    ended = as_in_one_process(
        command, tmp_path, "hydra/launcher/engine=slurm", *engine, further, "hydra.launcher.workers=2"
    )
    assert "1 run: 1 alone; Slurm jobs\n" in ended.out
    assert not (tmp_path / "outputs/s/slurm").exists()
    jobs = slurm.jobs()
    assert [job.ends for job in jobs] == [["COMPLETED"]]
    asked = {"partition": "gpu", "time": "30", "gpus-per-node": "1", "mem": "2GB", "account": "physics"}
    asked |= {"qos": "low", "cpus-per-task": "2", "constraint": "a100"}
    assert {key: jobs[0].options.get(key) for key in asked} == asked


@pytest.mark.slow  # Ray takes a minute to start; tests/faults tries more
def test_ray(command: Callable[..., Ended], tmp_path: Path) -> None:
    local = ("hydra/launcher/engine=ray", "hydra.launcher.engine.address=local")
    ended = as_in_one_process(command, tmp_path, *local)
    assert "1 run: 1 alone; the Ray cluster\n" in ended.out
