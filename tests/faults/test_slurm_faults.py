"""What only Slurm does to jobs: time limits, preemption, and a queue that outlives the command."""

import signal
from pathlib import Path
from typing import Any

import pytest
from faults.engines import Site, outcomes, start
from faults.test_engine_faults import EPOCHS, whole  # noqa: F401
from slurm.fake_slurm import FakeSlurm

pytestmark = pytest.mark.slow

SLURM = Site(["hydra/launcher/engine=slurm"])


def training(slurm: FakeSlurm, here: Path, *words: str) -> Any:
    """A sweep whose stacks both train."""
    sweep = start(here, SLURM, EPOCHS, *words)
    for seed in (0, 2):
        sweep.wait_for_epoch(seed, 20)
    return sweep


def test_a_job_at_its_time_limit_is_requeued(
    slurm: FakeSlurm,
    whole: dict[str, Any],  # noqa: F811
    tmp_path: Path,
) -> None:
    sweep = training(slurm, tmp_path)
    first = slurm.jobs()[0]
    slurm.time_out(first.name)
    status, printed = sweep.end()
    assert (status, "another" in printed) == (0, False), printed
    assert outcomes(sweep.folder) == whole
    assert slurm.job(first.name).ends == ["REQUEUED", "COMPLETED"]
    assert len(slurm.jobs()) == 2


@pytest.mark.parametrize("own_signal", [False, True])
def test_a_preempted_job_continues(
    slurm: FakeSlurm,
    whole: dict[str, Any],  # noqa: F811
    tmp_path: Path,
    own_signal: bool,
) -> None:
    sweep = training(slurm, tmp_path)
    first = slurm.jobs()[0]
    slurm.preempt(first.name, send_user_signal=own_signal)
    status, printed = sweep.end()
    assert (status, "another" in printed) == (0, False), printed
    assert outcomes(sweep.folder) == whole
    assert slurm.job(first.name).ends[0] == "REQUEUED"
    assert len(slurm.jobs()) == 2


def test_jobs_go_on_without_the_command_which_finds_them_again(
    slurm: FakeSlurm,
    whole: dict[str, Any],  # noqa: F811
    tmp_path: Path,
) -> None:
    sweep = training(slurm, tmp_path)
    sweep.process.terminate()
    status, printed = sweep.end()
    assert status == 143
    assert "jobs that go on in Slurm: 2" in printed
    status, printed = start(tmp_path, SLURM, EPOCHS).end()
    assert status == 0, printed
    assert outcomes(sweep.folder) == whole
    assert [len(job.ends) for job in slurm.jobs()] == [1, 1]
    assert not (sweep.folder / "slurm").exists()


def test_jobs_that_no_command_knows_are_cancelled(
    slurm: FakeSlurm,
    whole: dict[str, Any],  # noqa: F811
    tmp_path: Path,
) -> None:
    sweep = training(slurm, tmp_path)
    sweep.process.kill()
    sweep.end()
    (sweep.folder / "slurm/jobs.json").unlink()  # as if the command was killed before it wrote it
    status, printed = start(tmp_path, SLURM, EPOCHS).end()
    assert status == 0, printed
    assert outcomes(sweep.folder) == whole
    assert sorted(job.state for job in slurm.jobs()) == ["CANCELLED"] * 2 + ["COMPLETED"] * 2


def test_jobs_of_another_configuration_are_cancelled(slurm: FakeSlurm, tmp_path: Path) -> None:
    slurm.hold()
    sweep = start(tmp_path, SLURM, "trainer.max_epochs=3")
    sweep.wait_until(lambda: (sweep.folder / "slurm/jobs.json").exists())
    sweep.process.terminate()
    sweep.end()
    slurm.release()
    slurm.hold()
    again = start(tmp_path, SLURM, "trainer.max_epochs=4")
    again.wait_until(lambda: len(slurm.jobs()) == 4)
    slurm.release()
    status, printed = again.end()
    assert status == 0, printed
    assert [job.state for job in slurm.jobs()] == ["CANCELLED"] * 2 + ["COMPLETED"] * 2
    assert {outcome["config"]["trainer"]["max_epochs"] for outcome in outcomes(again.folder).values()} == {4}


def test_a_command_with_a_mistake_leaves_the_jobs_alone(
    slurm: FakeSlurm,
    whole: dict[str, Any],  # noqa: F811
    tmp_path: Path,
) -> None:
    sweep = training(slurm, tmp_path)
    sweep.process.kill()
    sweep.end()
    assert start(tmp_path, SLURM, EPOCHS, "optimizer.lr=0.5").end()[0] == 2
    status, printed = start(tmp_path, SLURM, EPOCHS).end()
    assert status == 0, printed
    assert outcomes(sweep.folder) == whole
    assert [len(job.ends) for job in slurm.jobs()] == [1, 1]


def test_jobs_are_not_lost_if_slurm_does_not_answer(
    slurm: FakeSlurm,
    whole: dict[str, Any],  # noqa: F811
    tmp_path: Path,
) -> None:
    sweep = training(slurm, tmp_path)
    answers = (slurm.bin / "sacct").rename(slurm.bin / "sacct.away")
    (slurm.bin / "sacct").write_text("#!/bin/sh\nexit 1\n")
    (slurm.bin / "sacct").chmod(0o755)
    sweep.wait_for_epoch(0, 100)
    answers.replace(slurm.bin / "sacct")
    status, printed = sweep.end()
    assert status == 0, printed
    assert outcomes(sweep.folder) == whole
    assert [len(job.ends) for job in slurm.jobs()] == [1, 1]


def test_ctrl_c_before_a_job_trains(tmp_path: Path) -> None:
    here = Site(
        ["hydra/launcher/engine=slurm", "hydra.launcher.engine.cluster=local", "hydra.launcher.workers=1"]
    )
    sweep = start(tmp_path, here, EPOCHS)
    sweep.wait_until(lambda: bool(list(sweep.folder.glob("slurm/*/*_log.out"))))
    sweep.process.send_signal(signal.SIGINT)
    status, printed = sweep.end(60)
    assert status == 130, printed


def test_slurm_refuses_what_it_does_not_have(slurm: FakeSlurm, tmp_path: Path) -> None:
    status, printed = start(tmp_path, SLURM, EPOCHS, "hydra.launcher.engine.partition=fast").end()
    assert status == 2
    assert "invalid partition specified: fast" in printed or "Invalid partition name" in printed, printed
    assert "Traceback" not in printed
