"""Every engine loses no run, trains none twice and changes no bit, whatever ends badly."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faults.campaign import outcomes
from faults.engines import SWEEP, start
from support import ROOT, process

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A Ray cluster of two nodes on this machine."""
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    made = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    made.add_node(num_cpus=1)
    yield made
    made.shutdown()


@pytest.fixture(params=["processes", "slurm", "ray"])
def engine(request: pytest.FixtureRequest) -> list[str]:
    """Overrides for each engine with two workers."""
    if request.param == "slurm":
        request.getfixturevalue("slurm")
        return ["hydra/launcher/engine=slurm"]
    two = ["hydra.launcher.workers=2"]
    if request.param == "processes":
        return two
    address = request.getfixturevalue("cluster").address
    return [*two, "hydra/launcher/engine=ray", f"hydra.launcher.engine.address={address}"]


def test_searches_and_folds_and_ensembles_train_there_too(engine: list[str], tmp_path: Path) -> None:
    searched = (
        *("-m", *SWEEP[1:-3], "trainer.max_epochs=9", "ensemble=2", "data/split=kfold", "data.split.folds=3"),
        *("optimizer.lr=interval(0.001,0.1)", "sweep.trials=6", "sweep.batch=4", "sweep.pruning=halving"),
        "hydra.launcher.max_members=2",  # a stack each: which trials are pruned depends on it
    )
    script = os.fspath(ROOT / "scripts/train.py")
    one = process([script, *searched, "name=one"], tmp_path)
    other = process([script, *searched, "name=s", *engine], tmp_path)
    assert (one.status, other.status) == (0, 0), (one, other)
    found = outcomes(tmp_path / "outputs/s")
    assert len(found) == 6
    assert found == outcomes(tmp_path / "outputs/one")
    best = [(tmp_path / "outputs" / name / "best.yaml").read_text() for name in ("one", "s")]
    assert best[0] == best[1]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_is_killed_or_stopped_is_replaced(
    engine: list[str], whole: dict[str, Any], tmp_path: Path, number: signal.Signals
) -> None:
    sweep = start(tmp_path, engine)
    sweep.wait_for_epoch(0, 20)
    sweep.worker(0).send_signal(number)
    assert "another worker continues" in sweep.assert_ends_like(whole)
    _, resumed, after = (sweep.run(0) / "train.log").read_text().partition("resumes after epoch")
    assert resumed
    assert "epoch 1/" not in after


def test_what_trains_the_runs_is_replaced_when_it_is_lost(
    request: pytest.FixtureRequest, engine: list[str], whole: dict[str, Any], tmp_path: Path
) -> None:
    """The process from which workers are forked, or a node."""
    sweep = start(tmp_path, engine)
    sweep.wait_until_all_train()
    if "slurm" in engine[0]:
        slurm = request.getfixturevalue("slurm")
        slurm.lose_node(next(job for job in slurm.jobs() if job.state == "RUNNING").nodes[-1])
    elif len(engine) > 1:
        cluster = request.getfixturevalue("cluster")
        [lost] = (node for node in cluster.list_all_nodes() if not node.head)
        cluster.remove_node(lost, allow_graceful=False)
        cluster.add_node(num_cpus=1)
    else:
        server = sweep.worker(0).parent()
        assert server
        assert server.pid != sweep.process.pid
        server.kill()
    sweep.assert_ends_like(whole)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_command_that_is_killed_or_stopped_is_given_again(
    engine: list[str], whole: dict[str, Any], tmp_path: Path, number: signal.Signals
) -> None:
    sweep = start(tmp_path, engine)
    sweep.wait_until_all_train()
    if number == signal.SIGINT:
        os.killpg(sweep.process.pid, number)
    else:
        sweep.process.kill()
    status, printed = sweep.end()
    if number == signal.SIGINT:
        assert (status, "Traceback" in printed, "stopped by SIGINT" in printed) == (130, False, True), printed
    start(tmp_path, engine).assert_ends_like(whole)
