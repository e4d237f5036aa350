"""Every engine loses no run, trains none twice and changes no bit, whatever ends badly."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faults.engines import SWEEP, Site, Sweep, outcomes, start
from slurm.fake_slurm import FakeSlurm
from support import ROOT, process

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    sweep = start(tmp_path_factory.mktemp("whole"), Site([]))
    assert sweep.end()[0] == 0
    return outcomes(sweep.folder)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    made = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    made.add_node(num_cpus=1)
    yield made
    made.shutdown()


@pytest.fixture(params=["processes", "slurm", "ray"])
def site(request: pytest.FixtureRequest) -> Site:
    two = "hydra.launcher.workers=2"
    if request.param == "processes":
        return Site([two])
    if request.param == "slurm":
        slurm = request.getfixturevalue("slurm")
        return Site(["hydra/launcher/engine=slurm"], slurm.lose_node)
    cluster = request.getfixturevalue("cluster")
    address = f"hydra.launcher.engine.address={cluster.address}"
    return Site([two, "hydra/launcher/engine=ray", address], lambda: lose_ray_node(cluster))


def lose_ray_node(cluster: Any) -> None:
    """Kills the node that is not the head; another comes later."""
    (lost,) = (node for node in cluster.list_all_nodes() if not node.head)
    cluster.remove_node(lost, allow_graceful=False)
    cluster.add_node(num_cpus=1)


def test_searches_and_folds_and_ensembles_train_there_too(site: Site, tmp_path: Path) -> None:
    searched = (
        *("-m", *SWEEP[1:-3], "trainer.max_epochs=9", "ensemble=2", "data/split=kfold", "data.split.folds=3"),
        *("optimizer.lr=interval(0.001,0.1)", "sweep.trials=6", "sweep.batch=4", "sweep.pruning=halving"),
        "hydra.launcher.max_members=2",  # a stack each: which trials are pruned depends on it
    )
    script = os.fspath(ROOT / "scripts/train.py")
    one = process([script, *searched, "name=one"], tmp_path)
    other = process([script, *searched, "name=s", *site.words], tmp_path)
    assert (one.status, other.status) == (0, 0), (one, other)
    found = outcomes(tmp_path / "outputs/s")
    assert len(found) == 6
    assert found == outcomes(tmp_path / "outputs/one")
    best = [(tmp_path / "outputs" / name / "best.yaml").read_text() for name in ("one", "s")]
    assert best[0] == best[1]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_worker_is_replaced(site: Site, whole: dict[str, Any], tmp_path: Path, number: int) -> None:
    sweep = start(tmp_path, site)
    sweep.wait_for_epoch(0, 20)
    sweep.worker(0).send_signal(number)
    status, printed = sweep.end()
    assert status == 0, printed
    assert "another worker continues" in printed
    assert outcomes(sweep.folder) == whole
    _, resumed, after = (sweep.run(0) / "train.log").read_text().partition("resumes after epoch")
    assert resumed
    assert "epoch 1/" not in after


def test_what_workers_run_on_is_replaced(site: Site, whole: dict[str, Any], tmp_path: Path) -> None:
    """A node that is lost, or the process from which workers are forked."""
    sweep = start(tmp_path, site)
    sweep.wait_until_all_train()
    if site.lose_node:
        site.lose_node()
    else:
        server = sweep.worker(0).parent()
        assert server.pid != sweep.process.pid
        server.kill()
    status, printed = sweep.end()
    assert status == 0, printed
    assert outcomes(sweep.folder) == whole


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_command_resumes(site: Site, whole: dict[str, Any], tmp_path: Path, number: int) -> None:
    sweep = start(tmp_path, site)
    sweep.wait_until_all_train()
    if number == signal.SIGINT:
        os.killpg(sweep.process.pid, number)
    else:
        sweep.process.kill()
    status, printed = sweep.end()
    if number == signal.SIGINT:
        assert (status, "Traceback" in printed, "stopped by SIGINT" in printed) == (130, False, True), printed
    status, printed = start(tmp_path, site).end()
    assert status == 0, printed
    assert outcomes(sweep.folder) == whole


# What only Slurm does to jobs: time limits, preemption, and a queue that outlives the command.

SLURM = Site(["hydra/launcher/engine=slurm"])


@pytest.fixture
def on_slurm(slurm: FakeSlurm, tmp_path: Path) -> Sweep:
    sweep = start(tmp_path, SLURM)
    sweep.wait_until_all_train()
    return sweep


def assert_done(sweep: Sweep, whole: dict[str, Any], slurm: FakeSlurm) -> None:
    status, printed = sweep.end()
    assert (status, "another" in printed) == (0, False), printed
    assert outcomes(sweep.folder) == whole
    assert len(slurm.jobs()) == 2
    assert not (sweep.folder / "slurm").exists()


@pytest.mark.parametrize(
    "number", [None, signal.SIGTERM, signal.SIGUSR2], ids=["time limit", "preempted", "its own signal"]
)
def test_a_job_that_is_requeued_continues(
    slurm: FakeSlurm, on_slurm: Sweep, whole: dict[str, Any], number: signal.Signals | None
) -> None:
    """At its time limit, or when it is preempted, with SIGTERM or with its own signal."""
    first = slurm.jobs()[0].name
    slurm.preempt(first, number) if number else slurm.time_out(first)
    assert_done(on_slurm, whole, slurm)
    assert [job.ends for job in slurm.finished_jobs() if job.name == first] == [["REQUEUED", "COMPLETED"]]


def test_jobs_go_on_without_the_command_which_finds_them_again(
    slurm: FakeSlurm, on_slurm: Sweep, whole: dict[str, Any], tmp_path: Path
) -> None:
    on_slurm.process.terminate()
    status, printed = on_slurm.end()
    assert status == 143
    assert "jobs that go on in Slurm: 2" in printed
    assert start(tmp_path, SLURM, "optimizer.lr=0.5").end()[0] == 2  # a mistake, which changes nothing
    assert_done(start(tmp_path, SLURM), whole, slurm)
    assert [job.ends for job in slurm.finished_jobs()] == [["COMPLETED"]] * 2


def test_jobs_survive_a_silent_slurm(slurm: FakeSlurm, on_slurm: Sweep, whole: dict[str, Any]) -> None:
    answers = (slurm.bin / "sacct").rename(slurm.bin / "sacct.away")
    (slurm.bin / "sacct").write_text("#!/bin/sh\nexit 1\n")
    (slurm.bin / "sacct").chmod(0o755)
    on_slurm.wait_for_epoch(0, 100)
    answers.replace(slurm.bin / "sacct")
    assert_done(on_slurm, whole, slurm)
    assert [len(job.ends) for job in slurm.finished_jobs()] == [1, 1]
