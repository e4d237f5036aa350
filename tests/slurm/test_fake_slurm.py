"""The fake cluster behaves as Slurm 24.11 did when the same was typed there."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from slurm.fake_slurm import FakeSlurm, JobRecord

pytestmark = pytest.mark.slow  # tests/commands and tests/faults use the cluster

STEP = """
import os, signal, sys, time

if not os.fork():  # a child that no signal to the process group reaches
    os.setsid()
    time.sleep(60)
    os._exit(0)
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


def processes(folder: Path) -> list[psutil.Process]:
    """Those that run in a folder, but for the test's."""
    running = (each for each in psutil.process_iter(["cwd", "pid"]) if each.pid != os.getpid())
    return [each for each in running if each.info["cwd"] == str(folder)]


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
    changes = sorted(
        (time, step) for job in jobs for r in job.runs for time, step in ((r.start, 1), (r.end, -1))
    )
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
    slurm.configure(kill_wait=0.1)
    job = submit(30, "--time=1:00:00", "--signal=USR2@0.2")
    started(slurm, job)
    slurm.time_out(job)
    slurm.wait_for(job, "TIMEOUT")
    assert Path(f"{job}.None.step").read_text().split() == ["start", "SIGUSR2", "SIGTERM"]


def test_the_time_limit_ends_a_job(slurm: FakeSlurm, submit: Submit):
    job = submit(30, "--time", "0.01", "--no-requeue")
    ran = slurm.wait_for(job, "TIMEOUT").runs[0]
    assert ran.end - ran.start >= 0.6


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


def test_cancelled_jobs_leave_no_process(slurm: FakeSlurm, submit: Submit, tmp_path: Path):
    slurm.configure(kill_wait=0.1)
    array = submit(30, "--array=0-2", "--job-name=mine")
    for task in (0, 1):
        started(slurm, f"{array}_{task}")
    assert len(processes(tmp_path)) == 2 * 3
    said("scancel", f"{array}_0")
    slurm.wait_for(f"{array}_0", "CANCELLED")
    started(slurm, f"{array}_2")
    said("scancel", "--name=mine")
    for task in (1, 2):
        slurm.wait_for(f"{array}_{task}", "CANCELLED")
    assert said("sacct", "-n", "-X", "-o", "State", "-P").splitlines() == [f"CANCELLED by {os.getuid()}"] * 3
    assert processes(tmp_path) == []


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


def test_a_job_that_is_over_is_known_for_a_time_and_may_run_again(slurm: FakeSlurm, submit: Submit):
    slurm.configure(min_job_age=600)
    job = submit(0)
    slurm.wait_for(job, "COMPLETED")
    assert said("squeue", "-h", "-j", job) == ""
    assert said("squeue", "-h", "-t", "all", "-o", "%i %t") == f"{job} CD"
    said("scontrol", "requeue", job)
    slurm.wait_for(job, "COMPLETED", runs=2)


def test_a_cluster_may_have_no_sacct(slurm: FakeSlurm):
    slurm.without_sacct()
    assert shutil.which("sacct") is None
    assert shutil.which("squeue") == str(slurm.bin / "squeue")


def test_the_limit_of_arrays_is_shown(slurm: FakeSlurm):
    assert "MaxArraySize            = 1001" in said("scontrol", "show", "config").splitlines()


def test_a_test_that_is_killed_leaves_no_job(tmp_path: Path):
    code = f"""
import pathlib, subprocess, time
from slurm.fake_slurm import FakeSlurm
with FakeSlurm(pathlib.Path({str(tmp_path / "slurm")!r})) as slurm:
    pathlib.Path("job.sh").write_text("#!/bin/bash\\nsleep 60")
    subprocess.run([slurm.bin / "sbatch", "job.sh"], check=True)
    slurm.wait_for(1, "RUNNING")
    print("runs", flush=True)
    time.sleep(60)
"""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    words, pipe = [sys.executable, "-c", code], subprocess.PIPE
    with subprocess.Popen(words, stdout=pipe, text=True, cwd=tmp_path, env=environment) as owner:
        assert owner.stdout
        assert [owner.stdout.readline() for _ in range(2)] == ["Submitted batch job 1\n", "runs\n"]
        (batch,) = (each for each in processes(tmp_path) if each.name() == "1.sh")
        owner.kill()
    psutil.wait_procs([batch], timeout=60)
    assert not batch.is_running()


def test_commands_without_a_controller_say_so(tmp_path: Path):
    with FakeSlurm(tmp_path / "slurm") as slurm:
        pass
    assert "Unable to contact slurm controller" in said(str(slurm.bin / "squeue"), status=1)
