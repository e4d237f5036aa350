"""Commands in this process, and how property tests draw."""

import logging
import os
import runpy
import sys
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from threading import Event

import each_process  # noqa: F401 # before mlplab and torch
import hydra
import jaxtyping
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from hypothesis import settings
from omegaconf import DictConfig, read_write
from slurm.fake_slurm import FakeSlurm
from support import ROOT, Ended

from mlplab import console
from mlplab.config.allowed_classes import user_classes
from mlplab.imports import frozen_objects

# The same examples every time, and none too slow for a busy machine.
settings.register_profile("mlplab", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("mlplab")


@pytest.fixture(autouse=True, scope="session")
def _objects_frozen() -> Iterator[None]:
    """Collections would search the objects of torch all the time."""
    with frozen_objects():
        yield


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """As commands do by default: with more, the last bits of sums may depend on the number of members."""
    torch.set_num_threads(1)


def pytest_configure() -> None:
    """Lets Hydra compose each choice of mlplab's options once: that takes as long as all else of a small run.

    The figures of a run take twice as long, so commands in this process draw them only if asked.
    """
    compose, composed = hydra.compose, dict[tuple[object, ...], DictConfig]()

    def once(name: str, overrides: Sequence[str] = (), **options: bool) -> DictConfig:
        places = GlobalHydra.instance().config_loader().get_search_path().get_path()
        if {place.path for place in places} != {"pkg://hydra.conf", str(ROOT / "conf"), "structured://"}:
            return compose(name, [*overrides], **options)
        key = name, *overrides
        if key not in composed:
            composed[key] = compose(name, [*overrides], **options)
            if not any(word.startswith("figures=") for word in overrides):
                composed[key].figures = "none"
        cfg = deepcopy(composed[key])
        with read_write(cfg.hydra):
            cfg.hydra.runtime.cwd = str(Path.cwd())
        return cfg

    hydra.compose = once
    os.fsync = lambda descriptor: None  # no test cuts the power, and disks take their time


@pytest.fixture(autouse=True)
def _environment_read_anew() -> Iterator[None]:
    """A process reads the allowed classes once; each test may set its own."""
    user_classes.cache_clear()
    yield
    user_classes.cache_clear()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, in which the test works."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def full_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns the checks of shapes off, which take most of the time of a training."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture(scope="module")
def quick_images() -> Iterator[None]:
    """Images of figures have the size 1 × 1: real ones take up to a second each."""
    header = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + 2 * b"\0\0\0\1" + b"\x08\6\0\0\0"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mlplab.figures.write_figures.image", lambda _: header)
        yield


@pytest.fixture
def without_script_of_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which takes a second to make."""
    monkeypatch.setattr("mlplab.commands.report.report.chart_script", lambda: "/* charts */")


@pytest.fixture
def line_at_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """All work with lines about its progress prints one when it ends, as if that had taken long."""

    class AtEnd(Event):
        is_printed = False

        def wait(self, timeout: float | None = None) -> bool:
            super().wait()
            was_printed, self.is_printed = self.is_printed, True
            return was_printed

    monkeypatch.setattr(console, "Event", AtEnd)


@pytest.fixture
def run_script(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Ended]:
    """Runs a script of `scripts/` with arguments in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # what a command sets is undone

    def run(name: str, *arguments: str) -> Ended:
        path = ROOT / "scripts" / f"{name}.py"
        monkeypatch.setattr(sys, "argv", [str(path), *arguments])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(path), run_name="__main__")
        GlobalHydra.instance().clear()
        logging.getLogger("mlplab").handlers = [logging.NullHandler()]  # what tests do next is not printed
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, captured.out, captured.err)

    return run


@pytest.fixture
def command(run_script: Callable[..., Ended]) -> Callable[..., Ended]:
    return lambda *arguments: run_script("train", *arguments)


@pytest.fixture
def succeed(run_script: Callable[..., Ended]) -> Callable[..., Ended]:
    """Runs a script as `run_script` does; its exit status must be 0."""

    def succeed(*words: str) -> Ended:
        ended = run_script(*words)
        assert ended.status == 0, ended
        return ended

    return succeed


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlurm]:
    """A Slurm cluster of two nodes; its commands are the first on the PATH."""
    with FakeSlurm(tmp_path / "slurm") as cluster:
        monkeypatch.setenv("PATH", str(cluster.bin), prepend=os.pathsep)
        yield cluster
