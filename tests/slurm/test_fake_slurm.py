"""The fake cluster behaves as Slurm 24.11 did when the same was typed there."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from slurm.fake_slurm import FakeSlurm, JobRecord

STEP = """
import signal, subprocess, sys, time
def note(number, frame):
    print(signal.Signals(number).name, flush=True)
    if signal.Signals(number).name in sys.argv[2:]:
        sys.exit(3)
for number in (signal.SIGTERM, signal.SIGUSR2):
    signal.signal(number, note)
print("start", flush=True)
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    time.sleep(0.01)
print("end", flush=True)
"""
Submit = Callable[..., str]


def said(*words: str, status: int = 0) -> str:
    """What a command printed, both ways."""
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == status, done.stdout
    return done.stdout.strip()


@pytest.fixture
def submit(slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Submit:
    """Submits a step that lasts some seconds and leaves when it gets certain signals; the job's id."""
    monkeypatch.chdir(tmp_path)
    Path("step.py").write_text(STEP)

    def call(lasts: float, *options: str, leaves_on: str = "") -> str:
        lines = [f"#SBATCH {option}" for option in ("--open-mode=append", "--output=%A.%a.out", *options)]
        step = f"srun --unbuffered --output %A.%a.step {sys.executable} -IS step.py {lasts} {leaves_on}"
        Path("job.sh").write_text("\n".join(["#!/bin/bash", *lines, "echo $SLURM_JOB_ID", step]))
        return said("sbatch", "job.sh").removeprefix("Submitted batch job ")

    return call


def started(slurm: FakeSlurm, name: str, runs: int = 1) -> JobRecord:
    """A job whose step can be signalled."""
    job = slurm.wait_for(name, "RUNNING", runs=runs)
    pattern = f"{name.replace('_', '.')}.step" if "_" in name else f"{name}.None.step"
    slurm.until(lambda: Path(pattern).exists() and Path(pattern).read_text().count("start") == runs, name)
    return job


def test_an_array_runs_in_order_with_as_many_tasks_at_once_as_it_allows(slurm: FakeSlurm, submit: Submit):
    slurm.configure(jobs_per_node=2)
    slurm.hold()
    array = submit(0.1, "--array=0-4%2", "--job-name='two words'", "--gpus-per-node=1")
    assert said("squeue", "--me", "-h", "-o", "%i|%T|%j|%r|%N") == (
        f"{array}_[0-4%2]|PENDING|two words|PartitionDown|"
    )
    names = [f"{array}_{task}" for task in range(5)]
    assert said("squeue", "-h", "-r", "-o", "%i", "-j", array).split() == names
    slurm.release()
    for name in names:
        slurm.wait_for(name, "COMPLETED")
    jobs = slurm.jobs()
    changes = sorted((time, step) for job in jobs for r in job.runs for time, step in ((r.start, 1), (r.end, -1)))
    running = [sum(step for _, step in changes[: index + 1]) for index in range(len(changes))]
    assert max(running) == 2
    assert all(a.runs[0].start <= b.runs[0].start for a, b in pairwise(jobs))
    assert [job.id for job in jobs] == [2, 3, 4, 5, 1]  # the last has the array's
    assert Path(f"{array}.4.out").read_text() == "1\n"
    assert said("squeue", "-h") == ""


def test_a_job_that_fails_says_so(slurm: FakeSlurm, submit: Submit):
    job = submit(30, leaves_on="SIGUSR2")
    started(slurm, job)
    said("scancel", "--signal=USR2", job)
    slurm.wait_for(job, "FAILED")
    assert said("sacct", "-o", "JobID,State,NodeList", "--parsable2", "-j", job).splitlines()[:2] == [
        "JobID|State|NodeList",
        f"{job}|FAILED|node1",
    ]
    slurm.configure(accounting=False)
    assert said("sacct", "-o", "JobID", "--parsable2", status=1) == "Slurm accounting storage is disabled"


def test_the_step_is_warned_before_the_time_limit(slurm: FakeSlurm, submit: Submit):
    slurm.configure(kill_wait=0.2)
    job = submit(30, "--time=0.03", "--signal=USR2@0.8")
    slurm.wait_for(job, "TIMEOUT")
    assert Path(f"{job}.None.step").read_text().split() == ["start", "SIGUSR2", "SIGTERM"]


@pytest.mark.parametrize(("own", "first"), [(False, "SIGTERM"), (True, "SIGUSR2")])
def test_a_preempted_job_runs_again(slurm: FakeSlurm, submit: Submit, own: bool, first: str):
    job = submit(30, "--time=5", "--signal=USR2@60", leaves_on=first)
    started(slurm, job)
    slurm.preempt(job, grace=20, send_user_signal=own)
    again = started(slurm, job, runs=2)
    assert [run.state for run in again.runs] == ["REQUEUED", "RUNNING"]
    assert again.restarts == 1
    assert Path(f"{job}.None.step").read_text().split() == ["start", first, "start"]


def test_a_preempted_job_that_stays_is_killed(slurm: FakeSlurm, submit: Submit):
    slurm.configure(kill_wait=0.1)
    job = submit(30, "--no-requeue")
    started(slurm, job)
    slurm.preempt(job, grace=0.1)
    slurm.wait_for(job, "PREEMPTED")
    assert said("scontrol", "requeue", job, status=1) == f"Invalid job id specified for job {job}"


def test_jobs_of_a_lost_node_run_elsewhere(slurm: FakeSlurm, submit: Submit):
    job, other = submit(30), submit(30, "--no-requeue")
    for name in (job, other):
        started(slurm, name)
    slurm.lose_node("node1")
    assert slurm.job(job).state == "PENDING"
    slurm.lose_node("node2")
    slurm.wait_for(other, "NODE_FAIL")
    slurm.restore_node("node2")
    assert [run.node for run in started(slurm, job, runs=2).runs] == ["node1", "node2"]
    assert Path(f"{job}.None.step").read_text().split() == ["start", "start"]


def test_a_job_requeued_by_hand_waits_its_time(slurm: FakeSlurm, submit: Submit):
    slurm.configure(kill_wait=0.1, begin_delay=600)
    job = submit(30)
    started(slurm, job)
    said("scontrol", "requeue", job)
    assert said("scontrol", "requeue", job, status=1) == f"Job is pending execution for job {job}"
    slurm.wait_for(job, "PENDING", runs=1)
    assert said("squeue", "-h", "-j", job, "-o", "%i %r") == f"{job} BeginTime"
    assert re.search("JobState=PENDING.*Restarts=1", said("scontrol", "show", "job", job), re.DOTALL)


def test_cancelled_jobs_leave_no_process(slurm: FakeSlurm, submit: Submit):
    array = submit(30, "--array=0-2", "--job-name=mine")
    for task in (0, 1):
        started(slurm, f"{array}_{task}")
    said("scancel", f"{array}_0")
    slurm.wait_for(f"{array}_0", "CANCELLED")
    started(slurm, f"{array}_2")
    said("scancel", "--name=mine")
    for task in (1, 2):
        slurm.wait_for(f"{array}_{task}", "CANCELLED")
    assert said("sacct", "-n", "-X", "-o", "State", "-P").splitlines() == [f"CANCELLED by {os.getuid()}"] * 3
    assert said("pgrep", "-f", f"step.py 30 .*{array}", status=1) == ""


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ("sbatch --partition=no job.sh", 1, "invalid partition specified: no"),
        ("sbatch --array=0-1001 job.sh", 1, "Batch job submission failed: Invalid job array specification"),
        ("sbatch --frob job.sh", 255, "sbatch: unrecognized option '--frob'"),
        ("sbatch --time=soon job.sh", 255, "Invalid --time specification"),
        ("squeue -j 99", 1, "slurm_load_jobs error: Invalid job id specified"),
        ("scontrol requeue 99_1", 1, "99_1: Invalid job id specified"),
        ("scontrol show job 99", 1, "slurm_load_jobs error: Invalid job id specified"),
        ("scancel x", 1, "scancel: error: Invalid job id x"),
        ("srun true", 1, "srun: error: Unable to confirm allocation"),
    ],
)
def test_what_slurm_refuses(slurm: FakeSlurm, submit: Submit, words: str, status: int, message: str):
    submit(0)
    assert message in said(*words.split(), status=status)


def test_unknown_ids_that_slurm_takes(slurm: FakeSlurm):
    assert said("squeue", "-h", "-j", "98,99") == said("scancel", "99") == ""


def test_the_limit_of_arrays_is_shown(slurm: FakeSlurm):
    assert "MaxArraySize            = 1001" in said("scontrol", "show", "config").splitlines()


def test_commands_without_a_controller_say_so(tmp_path: Path):
    with FakeSlurm(tmp_path / "slurm") as slurm:
        pass
    assert "Unable to contact slurm controller" in said(str(slurm.bin / "squeue"), status=1)
