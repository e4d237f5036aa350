"""What a sweep's runs are composed of, whatever launches them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from support import SMALL, Ended

Command = Callable[..., Ended]
QUICK = (*SMALL[:-1], "trainer.max_epochs=1", "logger=[]")


def configs(sweep: Path) -> dict[str, dict]:
    return {path.parent.name: yaml.safe_load(path.read_text()) for path in sweep.glob("*/config.yaml")}


def test_interpolations_follow_the_values_of_each_run(command: Command, tmp_path: Path) -> None:
    typed = ("optimizer.lr=0.1,0.01", "optimizer.weight_decay=${optimizer.lr}")
    ended = command("-m", *QUICK, *typed, "name=s")
    assert ended.status == 0, ended.err
    found = configs(tmp_path / "outputs/s")
    assert len(found) == 2
    for config in found.values():
        assert config["optimizer"]["weight_decay"] == config["optimizer"]["lr"]


@pytest.mark.parametrize("typed", ["name=n-${seed}", "hydra.sweep.dir=outputs/n-${seed}"])
def test_a_folder_that_depends_on_a_run_is_that_of_the_sweep(
    command: Command, tmp_path: Path, typed: str
) -> None:
    ended = command("-m", *QUICK, "seed=0,1", typed, "loss=mse,mae")
    assert ended.status == 0, ended.err
    assert [path.name for path in (tmp_path / "outputs").iterdir()] == ["n-0"]


def test_flags_may_stand_anywhere(command: Command, tmp_path: Path) -> None:
    assert command("seed=0,1", *QUICK, "-m", "name=s").status == 0
    assert command("seed=2", "-m", *QUICK, "name=s").status == 0
    statuses = [json.loads(path.read_text())["status"] for path in tmp_path.glob("outputs/s/*/metrics.json")]
    assert statuses == ["done"] * 3


def test_a_value_that_is_a_section_is_refused_by_its_key(command: Command) -> None:
    ended = command("-m", *QUICK, "data.features={a:1},{b:2}", "name=s")
    assert ended.status == 2
    assert "data.features" in ended.err
    assert "same folder" not in ended.err
