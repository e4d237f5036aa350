"""The fake cluster is enough for submitit, and does to jobs what Slurm 24.11 did when it was tried there."""

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import submitit
from slurm.fake_slurm import FakeSlurm

pytestmark = pytest.mark.slow  # tests/commands and tests/faults use the cluster


@pytest.fixture
def jobs(slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[submitit.Job[Any]]:
    monkeypatch.chdir(tmp_path)

    class Count:
        """Counts to a number, in pieces if it must; waits at 1 until it is asked to stop."""

        def __init__(self) -> None:
            self.counted: list[str] = []

        def __call__(self, until: int) -> list[str]:
            for number in range(len(self.counted), until):
                self.counted.append(f"{number} after {os.environ['SLURM_RESTART_COUNT']}")
                while number == 1 and not Path("go").exists():
                    Path("here").touch()
                    time.sleep(0.01)
            return self.counted

        def checkpoint(self, until: int) -> object:
            Path("go").touch()
            return submitit.helpers.DelayedSubmission(self, until)

    executor = submitit.SlurmExecutor(tmp_path / "logs")
    executor.update_parameters(
        time=60, job_name="mine", signal_delay_s=600, partition="gpu", array_parallelism=2
    )
    submitted = executor.map_array(Count(), [3, 1])
    slurm.until(Path("here").exists, "nothing runs")
    return submitted


@pytest.mark.parametrize("event", ["time limit", "preempted"])
def test_a_job_that_is_asked_to_stop_continues(slurm: FakeSlurm, jobs: list[Any], event: str) -> None:
    if event == "preempted":
        slurm.preempt(jobs[0].job_id, send_user_signal=True)
    else:
        slurm.time_out(jobs[0].job_id)
    assert jobs[0].result() == ["0 after 0", "1 after 0", "2 after 1"]
    assert jobs[1].result() == ["0 after 0"]
    assert slurm.wait_for(jobs[0].job_id, "COMPLETED").ends == ["REQUEUED", "COMPLETED"]
    assert slurm.job(jobs[0].job_id).options["partition"] == "gpu"


def test_a_job_of_a_lost_node_runs_elsewhere_from_its_start(slurm: FakeSlurm, jobs: list[Any]) -> None:
    Path("go").touch()
    (node,) = slurm.job(jobs[0].job_id).nodes
    slurm.lose_node(node)
    slurm.wait_for(jobs[0].job_id, "COMPLETED")
    assert len({*slurm.job(jobs[0].job_id).nodes}) == 2


def test_jobs_are_cancelled_by_name(slurm: FakeSlurm, jobs: list[Any]) -> None:
    subprocess.run(["scancel", "--name=other"], check=True)
    assert slurm.job(jobs[0].job_id).state == "RUNNING"
    subprocess.run(["scancel", "--name=mine"], check=True)
    slurm.wait_for(jobs[0].job_id, "CANCELLED")
    assert jobs[0].done(force_check=True)


def test_what_slurm_refuses(slurm: FakeSlurm, tmp_path: Path) -> None:
    executor = submitit.SlurmExecutor(tmp_path / "logs")
    executor.update_parameters(partition="no")
    with pytest.raises(submitit.core.utils.FailedJobError, match="Invalid partition name"):
        executor.submit(print)
