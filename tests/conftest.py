"""Commands in this process, and how property tests draw."""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import jaxtyping
import pytest
from hydra.core.global_hydra import GlobalHydra
from hypothesis import settings
from support import ROOT, Ended

from mlplab.config.allowed_classes import user_classes

# The same examples every time, and none too slow for a busy machine.
settings.register_profile("mlplab", deadline=None, derandomize=True)
settings.load_profile("mlplab")


@pytest.fixture(autouse=True)
def _environment_read_anew() -> Iterator[None]:
    """A process reads the allowed targets once; each test may set its own."""
    user_classes.cache_clear()
    yield
    user_classes.cache_clear()


@pytest.fixture
def full_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns the checks of shapes off, which take most of the time of a training."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


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
        spec = importlib.util.spec_from_file_location("__main__", path)
        assert spec is not None
        assert spec.loader is not None
        with pytest.raises(SystemExit) as ended:
            spec.loader.exec_module(importlib.util.module_from_spec(spec))
        GlobalHydra.instance().clear()
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, captured.out, captured.err)

    return run


@pytest.fixture
def command(run_script: Callable[..., Ended]) -> Callable[..., Ended]:
    """Runs `train.py` with arguments in this process, in an empty folder."""
    return lambda *arguments: run_script("train", *arguments)
