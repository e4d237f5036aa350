"""A sweep on Slurm; `tests/faults` tries what can go wrong there, and Ray."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from slurm.fake_slurm import FakeSlurm
from support import ROOT, SMALL, Ended, left_behind, process

SWEEP = ("-m", *SMALL, "seed=0", "figures=none")


@pytest.mark.slow(ci=True)
def test_slurm(command: Callable[..., Ended], slurm: FakeSlurm, tmp_path: Path) -> None:
    words = (
        *("partition=gpu", "minutes=30", "gpus=1", "memory_gib=2", "account=physics", "qos=low"),
        *("cpus=2", "setup=['export A=1']"),
    )
    engine = [f"hydra.launcher.engine.{word}" for word in words]
    engine += ["hydra/launcher/engine=slurm", "+hydra.launcher.engine.sbatch.constraint=a100"]
    assert command(*SWEEP, "name=one").status == 0
    ended = process([os.fspath(ROOT / "scripts/train.py"), *SWEEP, "name=s", *engine], tmp_path)
    assert ended.status == 0, ended
    assert left_behind(tmp_path / "outputs/one/run") == left_behind(tmp_path / "outputs/s/run")
    assert "1 run: 1 alone; Slurm jobs\n" in ended.out
    assert not (tmp_path / "outputs/s/slurm").exists()
    [job] = slurm.finished_jobs()
    assert job.ends == ["COMPLETED"]
    options = {"partition": "gpu", "time": "30", "gpus-per-node": "1", "mem": "2048M", "account": "physics"}
    options |= {"qos": "low", "cpus-per-task": "2", "constraint": "a100"}
    assert {key: job.options.get(key) for key in options} == options
