"""Sweeps on Slurm and in Ray; `tests/faults` tries what can go wrong there."""

import os
from collections.abc import Callable
from pathlib import Path

from slurm.fake_slurm import FakeSlurm
from support import ROOT, SMALL, Ended, left_behind, process

SCRIPT = os.fspath(ROOT / "scripts/train.py")
SWEEP = ("-m", *SMALL, "seed=0,1", "hydra.launcher.max_members=1", "figures=none")


def as_in_one_process(command: Callable[..., Ended], here: Path, *engine: str) -> Ended:
    """Trains the sweep there and in this process, and compares what the runs leave."""
    assert command(*SWEEP, "name=one").status == 0
    ended = process([SCRIPT, *SWEEP, "name=s", *engine], here)
    assert ended.status == 0, ended
    for seed in (0, 1):
        one, other = (left_behind(here / f"outputs/{name}/seed={seed}") for name in ("one", "s"))
        assert one == other
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
    assert "2 runs: 2 alone; Slurm jobs\n" in ended.out
    assert not (tmp_path / "outputs/s/slurm").exists()
    jobs = slurm.jobs()
    assert [job.ends for job in jobs] == [["COMPLETED"]] * 2
    asked = {"partition": "gpu", "time": "30", "gpus-per-node": "1", "mem": "2GB", "account": "physics"}
    asked |= {"qos": "low", "cpus-per-task": "2", "constraint": "a100", "array": "0-1%2"}
    assert {key: jobs[0].options.get(key) for key in asked} == asked


def test_ray(command: Callable[..., Ended], tmp_path: Path) -> None:
    local = ("hydra/launcher/engine=ray", "hydra.launcher.engine.address=local")
    ended = as_in_one_process(command, tmp_path, *local)
    assert "2 runs: 2 alone; the Ray cluster\n" in ended.out


def test_ray_where_there_is_none(tmp_path: Path) -> None:
    address = "hydra.launcher.engine.address=127.0.0.1:1"
    ended = process([SCRIPT, *SWEEP, "hydra/launcher/engine=ray", address], tmp_path)
    assert ended.status == 2
    assert "hydra.launcher.engine.address=127.0.0.1:1: no Ray cluster can be reached" in ended.err
    assert "ray start --head" in ended.err
    assert not (tmp_path / "outputs").exists()
