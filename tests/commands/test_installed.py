"""mlplab as a wheel and as an editable install: its files, and its commands in any folder."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from slurm.fake_slurm import FakeSlurm
from support import ROOT, SMALL, left_behind

pytestmark = pytest.mark.skipif(not shutil.which("uv"), reason="wheels are built by uv")

Mlplab = Callable[..., str]


def uv(*arguments: object) -> None:
    run("uv", *map(str, arguments))


def run(*words: str, status: int = 0, **where: Any) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=500, check=False, **where)
    assert done.returncode == status, done
    return done.stdout + done.stderr


def program(path: Path, here: Path, **environment: str) -> Mlplab:
    without = {name: value for name, value in os.environ.items() if name != "UV_RUN_RECURSION_DEPTH"}
    folders = os.pathsep.join([str(path.parent), os.environ["PATH"]])
    return partial(run, "mlplab", cwd=here, env={**without, "PATH": folders, **environment})


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--quiet", "--wheel", "--out-dir", folder, ROOT)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture
def beside_torch(wheel: Path, tmp_path: Path) -> Mlplab:
    """The wheel in a folder of its own, with the packages of this environment."""
    target, here = tmp_path / "target", tmp_path / "here"
    here.mkdir()
    uv("pip", "install", "--quiet", "--no-deps", "--python", sys.executable, "--target", target, wheel)
    return program(target / "bin/mlplab", here, PYTHONPATH=str(target))


def test_the_wheel_has_all_files_of_the_package_and_conf(wheel: Path) -> None:
    package = [path for path in (ROOT / "src/mlplab").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    files = {f"mlplab/{path.relative_to(ROOT / 'src/mlplab').as_posix()}" for path in package}
    files |= {path.relative_to(ROOT).as_posix() for path in (ROOT / "conf").rglob("*.yaml")}
    with ZipFile(wheel) as archive:
        names = {name.replace("mlplab/conf/", "conf/") for name in archive.namelist()}
    assert {name for name in names if ".dist-info/" not in name} == files
    assert "mlplab/py.typed" in files  # type checkers read the types


def own_experiment(here: Path) -> None:
    (here / "conf/experiment").mkdir(parents=True)
    (here / "conf/mlplab.yaml").touch()
    (here / "conf/experiment/mine.yaml").write_text("# @package _global_\nname: mine\nseed: 7\n")


def test_a_wheel_composes_its_own_conf_and_the_users(beside_torch: Mlplab, tmp_path: Path) -> None:
    own_experiment(tmp_path / "here")
    printed = beside_torch("train", "--cfg", "job", "experiment=mine")
    assert "using conf: experiment/mine.yaml\n" in printed
    assert "\nname: mine\n" in printed
    assert "add -m: mlplab train -m seed=1,2;" in beside_torch("train", "seed=1,2", status=2)


@pytest.mark.slow
@pytest.mark.parametrize("editable", [True, False])
def test_all_commands_in_another_folder(wheel: Path, tmp_path: Path, editable: bool) -> None:
    """On a table whose columns need every data file of the package."""
    python, here = Path(sys.executable), tmp_path / "here"
    if not editable:  # in an empty environment
        python = tmp_path / "env/bin/python"
        uv("venv", "--quiet", "--python", sys.executable, python.parents[1])
        uv("pip", "install", "--quiet", "--python", python, wheel)
    own_experiment(here)
    mlplab = program(python.with_name("mlplab"), here, PYTHONPATH="")
    rows = [f"{row},{('low', 'medium', 'high')[row % 3]},{2 * row + row % 3}" for row in range(60)]
    (here / "t.csv").write_text("\n".join(["id,level,y", *rows]))
    quick = ("data=csv", "data.path=t.csv", "data.target=y", "trainer.max_epochs=2", "ensemble=1")
    for words, said in (
        (("describe", *quick[:3]), "to use it: data.columns.level=ordinal"),
        (("train", *quick, "experiment=mine"), "run folder: outputs/mine"),
        (("train", "-m", *quick, "seed=1,2", "name=s", "hydra.launcher.workers=2"), "2 runs: "),
        (("evaluate", "run=outputs/s", "importance=true"), "rmse"),
        (("predict", "run=outputs/mine", "input=t.csv", "output=p.csv"), ""),
        (("results", "outputs"), "seed"),
        (("report", "outputs/s"), "outputs/s/report.html"),
        (("train", "--help"), "== Groups"),
        (("--version",), "mlplab "),
        (("train", "data=penguins", "trainer.fast_dev_run=true"), ""),
        (("describe", "data=digits"), "1,797 rows"),
    ):
        assert said in mlplab(*words)
    assert len((here / "p.csv").read_text().splitlines()) == 61


@pytest.mark.slow
def test_slurm_jobs_of_a_wheel(slurm: FakeSlurm, beside_torch: Mlplab, tmp_path: Path) -> None:
    """The cluster is first: it changes the PATH. `tests/faults` tries what can go wrong there, and Ray."""
    words = ("partition=gpu", "minutes=30", "gpus=1", "memory_gib=2", "account=physics", "qos=low")
    words += ("cpus=2", "setup=['export A=1']")
    engine = [f"hydra.launcher.engine.{word}" for word in words]
    engine += ["hydra/launcher/engine=slurm", "+hydra.launcher.engine.sbatch.constraint=a100"]
    sweep = ("train", "-m", *SMALL, "figures=none", "seed=1,2")
    beside_torch(*sweep, "name=local")
    printed = beside_torch(*sweep, "name=s", *engine)
    assert "2 runs: 1 stack of 2; Slurm jobs\n" in printed
    assert "\nmlplab results outputs/s\ntensorboard --logdir outputs/s\n" in printed
    outputs = tmp_path / "here/outputs"
    assert not (outputs / "s/slurm").exists()
    for run in ("seed=1", "seed=2"):
        assert left_behind(outputs / "local" / run) == left_behind(outputs / "s" / run)
    [job] = slurm.finished_jobs()
    assert job.ends == ["COMPLETED"]
    options = {"partition": "gpu", "time": "30", "gpus-per-node": "1", "mem": "2048M", "account": "physics"}
    options |= {"qos": "low", "cpus-per-task": "2", "constraint": "a100"}
    assert options.items() <= job.options.items()
