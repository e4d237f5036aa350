"""What only Slurm does to jobs: time limits, preemption, and a queue that outlives the command."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faults.engines import Site, Sweep, outcomes, start
from slurm.fake_slurm import FakeSlurm

pytestmark = pytest.mark.slow

SLURM = Site(["hydra/launcher/engine=slurm"])


@pytest.fixture
def sweep(slurm: FakeSlurm, tmp_path: Path) -> Sweep:
    sweep = start(tmp_path, SLURM)
    sweep.wait_until_all_train()
    return sweep


def assert_done(sweep: Sweep, whole: dict[str, Any], slurm: FakeSlurm) -> None:
    """Checks that the sweep ends well, with the two jobs that it has submitted at first."""
    status, printed = sweep.end()
    assert (status, "another" in printed) == (0, False), printed
    assert outcomes(sweep.folder) == whole
    assert len(slurm.jobs()) == 2
    assert not (sweep.folder / "slurm").exists()


@pytest.mark.parametrize(
    "happens",
    [
        lambda slurm, job: slurm.time_out(job),
        lambda slurm, job: slurm.preempt(job, send_user_signal=False),
        lambda slurm, job: slurm.preempt(job, send_user_signal=True),
    ],
    ids=["time limit", "preempted", "preempted with its signal"],
)
def test_a_job_that_is_requeued_continues(
    slurm: FakeSlurm, sweep: Sweep, whole: dict[str, Any], happens: Callable[[FakeSlurm, str], None]
) -> None:
    first = slurm.jobs()[0].name
    happens(slurm, first)
    assert_done(sweep, whole, slurm)
    assert [job.ends for job in slurm.finished_jobs() if job.name == first] == [["REQUEUED", "COMPLETED"]]


def test_jobs_go_on_without_the_command_which_finds_them_again(
    slurm: FakeSlurm, sweep: Sweep, whole: dict[str, Any], tmp_path: Path
) -> None:
    sweep.process.terminate()
    status, printed = sweep.end()
    assert status == 143
    assert "jobs that go on in Slurm: 2" in printed
    assert start(tmp_path, SLURM, "optimizer.lr=0.5").end()[0] == 2  # a mistake, which changes nothing
    assert_done(start(tmp_path, SLURM), whole, slurm)
    assert [job.ends for job in slurm.finished_jobs()] == [["COMPLETED"]] * 2


def test_jobs_are_not_lost_if_slurm_does_not_answer(
    slurm: FakeSlurm, sweep: Sweep, whole: dict[str, Any]
) -> None:
    answers = (slurm.bin / "sacct").rename(slurm.bin / "sacct.away")
    (slurm.bin / "sacct").write_text("#!/bin/sh\nexit 1\n")
    (slurm.bin / "sacct").chmod(0o755)
    sweep.wait_for_epoch(0, 100)
    answers.replace(slurm.bin / "sacct")
    assert_done(sweep, whole, slurm)
    assert [len(job.ends) for job in slurm.finished_jobs()] == [1, 1]
