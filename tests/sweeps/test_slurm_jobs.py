"""What the command knows of its Slurm jobs."""

import json
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from support import SMALL, resolved

from mlplab import config
from mlplab.config import parse_launcher
from mlplab.errors import Fault, RunFailed
from mlplab.runs.run import Run
from mlplab.sweeps.engines.engine import WorkerLost
from mlplab.sweeps.engines.slurm import SlurmJobs
from mlplab.sweeps.engines.worker import Assignment, Reply
from mlplab.sweeps.train_stack import StackJob


@pytest.fixture
def assignment(tmp_path: Path) -> Assignment:
    run = Run(resolved(*SMALL), tmp_path / "run")
    return Assignment.of(StackJob("s", [run], tmp_path / "c"), tmp_path / "plan.json")


def engine(root: Path) -> SlurmJobs:
    section = {
        **{
            "name": "slurm",
            "cluster": "local",
            "minutes": 60,
            "partition": None,
            "account": None,
            "qos": None,
        },
        **{"cpus": 1, "memory_gib": None, "gpus": 0, "setup": [], "sbatch": {}},
    }
    launcher = parse_launcher({"max_members": None, "workers": None, "engine": section})
    assert isinstance(launcher.engine, config.SlurmEngine)
    return SlurmJobs(launcher.engine, root, None)


def leave(root: Path, runs: Any, reply: Any) -> Path:
    """What a command left that was killed."""
    path = root / "slurm/0/reply.json"
    path.parent.mkdir(parents=True)
    if reply is not None:
        path.write_text(json.dumps(reply))
    record = [{"job_id": "7_0", "folder": "../0", "reply": "reply.json", "runs": dict(runs)}]
    (root / "slurm/jobs.json").write_text(json.dumps(record))
    return path


@pytest.mark.parametrize(
    ("reply", "adopted"),
    [
        (Reply({Path("run"): RunFailed("a reason")}).plain(), True),
        (Reply(refused=(Fault("another version"),)).plain(), False),
        (Reply(disk=OSError(28, "full", "x")).plain(), False),
        ({"outcomes": []}, False),
        ("?", False),
    ],
    ids=["ended", "refused", "disk", "damaged", "no reply"],
)
def test_of_old_replies_only_results_count(
    tmp_path: Path, assignment: Assignment, reply: Any, adopted: bool
) -> None:
    path, future = leave(tmp_path, assignment.runs, reply), Future[Reply]()
    jobs = engine(tmp_path)
    assert jobs._adopt(assignment, future, set()) is adopted
    assert future.done() is adopted
    assert not path.exists()


@pytest.mark.parametrize("alive", [{"7_0"}, None], ids=["in the queue", "Slurm does not answer"])
def test_a_job_is_adopted(tmp_path: Path, assignment: Assignment, alive: set[str] | None) -> None:
    leave(tmp_path, assignment.runs, None)
    assert engine(tmp_path)._adopt(assignment, Future[Reply](), alive)
    assert not engine(tmp_path)._adopt(assignment, Future[Reply](), {"7_1"})


def test_a_job_of_another_configuration_is_not_adopted(tmp_path: Path, assignment: Assignment) -> None:
    leave(tmp_path, dict.fromkeys(assignment.runs, "other"), None)
    assert not engine(tmp_path)._adopt(assignment, Future[Reply](), {"7_0"})


@pytest.mark.parametrize("content", ["", "[1]", "{}", '[{"job_id": 1}]'])
def test_a_damaged_record_is_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm/jobs.json").write_text(content)
    assert engine(tmp_path)._earlier == []


def test_an_error_in_looking_for_replies_reaches_the_command(
    tmp_path: Path, assignment: Assignment, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(tmp_path, assignment.runs, None)
    jobs, future = engine(tmp_path), Future[Reply]()
    assert jobs._adopt(assignment, future, {"7_0"})
    monkeypatch.setattr("mlplab.sweeps.engines.slurm.LOOK_SECONDS", 0.01)
    monkeypatch.setattr(jobs, "_replies", lambda: iter([1 // 0]))
    jobs._watch()
    assert isinstance(future.exception(), ZeroDivisionError)


def test_a_job_that_is_gone_without_a_reply_is_lost(
    tmp_path: Path, assignment: Assignment, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(tmp_path, assignment.runs, None)
    jobs, future = engine(tmp_path), Future[Reply]()
    assert jobs._adopt(assignment, future, {"7_0"})
    monkeypatch.setattr("mlplab.sweeps.engines.slurm.LOOK_SECONDS", 0.01)
    jobs._stopping = True  # so that it waits for no late reply
    future.add_done_callback(lambda _: jobs._closed.set())
    jobs._watch()
    assert isinstance(lost := future.exception(), WorkerLost)
    assert str(lost) == "job 7_0 ended without a result (see slurm/0/7_0_0_log.err)"
