"""Every engine loses no run, trains none twice and changes no bit, whatever ends badly."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faults.engines import SWEEP, Site, outcomes, start
from slurm.fake_slurm import FakeSlurm
from support import ROOT, process, status_of

pytestmark = pytest.mark.slow

EPOCHS = "trainer.max_epochs=200"  # logged at 1, 20, 40, …

ENGINES = ["processes", "submitit", "slurm", "ray"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a sweep leaves that trains undisturbed in one process."""
    here = tmp_path_factory.mktemp("whole")
    sweep = start(here, Site([]), EPOCHS)
    assert sweep.end()[0] == 0
    return outcomes(sweep.folder)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A Ray cluster of two nodes on this machine."""
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    made = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    made.add_node(num_cpus=1)
    yield made
    made.shutdown()


@pytest.fixture(params=ENGINES)
def site(request: pytest.FixtureRequest) -> Site:
    """Each engine with two workers."""
    two = "hydra.launcher.workers=2"
    if request.param == "processes":
        return Site([two])
    if request.param == "submitit":
        return Site([two, "hydra/launcher/engine=slurm", "hydra.launcher.engine.cluster=local"])
    if request.param == "slurm":
        slurm = request.getfixturevalue("slurm")
        return Site(["hydra/launcher/engine=slurm"], lambda run: slurm.lose_node(node_of_job(slurm)))
    cluster = request.getfixturevalue("cluster")
    address = f"hydra.launcher.engine.address={cluster.address}"
    return Site([two, "hydra/launcher/engine=ray", address], lambda run: lose_ray_node(cluster))


def node_of_job(slurm: FakeSlurm) -> str:
    """The node of the first job that trains."""
    return next(job for job in slurm.jobs() if job.state == "RUNNING").nodes[-1]


def lose_ray_node(cluster: Any) -> None:
    """Kills the node that is not the head; another comes later."""
    (lost,) = (node for node in cluster.list_all_nodes() if not node.head)
    cluster.remove_node(lost, allow_graceful=False)
    cluster.add_node(num_cpus=1)


def test_the_bits_are_those_of_one_process(site: Site, whole: dict[str, Any], tmp_path: Path) -> None:
    sweep = start(tmp_path, site, EPOCHS)
    status, printed = sweep.end()
    assert (status, "error" in printed) == (0, False), printed
    assert outcomes(sweep.folder) == whole


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


def test_a_worker_that_is_killed_is_replaced(site: Site, whole: dict[str, Any], tmp_path: Path) -> None:
    sweep = start(tmp_path, site, EPOCHS)
    sweep.wait_for_epoch(0, 20)
    sweep.worker(0).kill()
    status, printed = sweep.end()
    assert status == 0, printed
    assert "another continues" in printed
    assert outcomes(sweep.folder) == whole
    _, resumed, after = (sweep.run(0) / "train.log").read_text().partition("resumes after epoch")
    assert resumed
    assert "epoch 1/" not in after


@pytest.mark.parametrize("site", ["slurm", "ray"], indirect=True)
def test_a_node_that_is_lost_is_replaced(site: Site, whole: dict[str, Any], tmp_path: Path) -> None:
    sweep = start(tmp_path, site, EPOCHS)
    for seed in (0, 2):
        sweep.wait_for_epoch(seed, 20)
    assert site.lose_node
    site.lose_node(sweep.run(2))
    status, printed = sweep.end()
    assert status == 0, printed
    assert outcomes(sweep.folder) == whole


def test_a_worker_that_is_stopped_saves_its_state(site: Site, whole: dict[str, Any], tmp_path: Path) -> None:
    sweep = start(tmp_path, site, EPOCHS)
    sweep.wait_for_epoch(0, 20)
    sweep.worker(0).send_signal(signal.SIGTERM)
    status, printed = sweep.end()
    assert status == 0, printed
    assert outcomes(sweep.folder) == whole


def test_a_command_that_is_killed_is_given_again(site: Site, whole: dict[str, Any], tmp_path: Path) -> None:
    sweep = start(tmp_path, site, EPOCHS)
    for seed in (0, 2):
        sweep.wait_for_epoch(seed, 20)
    sweep.process.kill()
    sweep.end()
    status, printed = start(tmp_path, site, EPOCHS).end()
    assert status == 0, printed
    assert outcomes(sweep.folder) == whole


def test_a_command_that_is_stopped_is_given_again(site: Site, whole: dict[str, Any], tmp_path: Path) -> None:
    sweep = start(tmp_path, site, EPOCHS)
    for seed in (0, 2):
        sweep.wait_for_epoch(seed, 20)
    os.killpg(sweep.process.pid, signal.SIGINT)
    status, printed = sweep.end()
    assert (status, "Traceback" in printed) == (130, False), printed
    assert "stopped by SIGINT" in printed
    status, printed = start(tmp_path, site, EPOCHS).end()
    assert status == 0, printed
    assert outcomes(sweep.folder) == whole


def test_runs_that_raise_are_tried_once_more(site: Site, tmp_path: Path) -> None:
    network = ("model=custom", "model._target_=troubled.Troubled")
    words = [*SWEEP[1:], "trainer.max_epochs=3", *network]
    words = [word for word in words if not word.startswith(("model.hidden", "hydra.launcher.max"))]
    words.append("hydra.launcher.max_members=1")
    python_path = os.pathsep.join([os.fspath(ROOT / "tests/faults"), os.environ.get("PYTHONPATH", "")])
    known = {"MLPLAB_ALLOWED_CLASSES": "troubled.Troubled", "PYTHONPATH": python_path}
    done = process(
        [os.fspath(ROOT / "scripts/train.py"), "-m", *words, *site.words, "+model.trouble=raise_once"],
        tmp_path,
        **known,
    )
    folders = [tmp_path / f"outputs/s/seed={seed}" for seed in range(4)]
    assert [status_of(folder) for folder in folders] == ["done"] * 4, done
    assert done.status == 0
    assert (done.out + done.err).count("1 of its runs failed, and are tried once more") == 4


def test_a_run_that_diverges_is_not_tried_again(site: Site, tmp_path: Path) -> None:
    sweep = start(tmp_path, site, "trainer.max_epochs=3", "optimizer=sgd", "optimizer.lr=0.01,1e30")
    status, printed = sweep.end()
    assert status == 1, printed
    assert "4 of 8 runs failed" in printed
    statuses = {path.parent.name: status_of(path.parent) for path in sweep.folder.glob("*/metrics.json")}
    assert sorted(statuses.values()) == ["diverged"] * 4 + ["done"] * 4
    assert "another" not in printed
