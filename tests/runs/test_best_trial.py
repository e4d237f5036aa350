"""The file about a search's best trial."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from mlplab.errors import UserError
from mlplab.runs.best_trial import BestTrial
from mlplab.runs.compare.run_result import RunResult, trials_in_order
from mlplab.runs.discovery import BEST_TRIAL_FILE

BEST = BestTrial(
    trial="trial-0042",
    monitor="val/mae",
    value=3.141,
    trials={"done": 40, "pruned": 20, "diverged": 4},
    configuration={"optimizer.lr": 1e-05, "model.hidden": [128, 128], "model.norm": None},
    command="uv run scripts/train.py 'model.hidden=[128,128]' 'name=é: x' optimizer.lr=1e-05",
    test={"rmse": 5.1, "r2": None},
)


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert BestTrial.read(tmp_path) is None
    shared = [8, 8]
    for best in (
        BEST,
        replace(BEST, test={}),
        replace(BEST, configuration={"a": shared, "b": shared}),
    ):
        best.write(tmp_path)
        assert BestTrial.read(tmp_path) == best
    assert [path.name for path in tmp_path.iterdir()] == [BEST_TRIAL_FILE]


def test_a_file_with_the_importance_of_keys_is_read(tmp_path: Path) -> None:
    earlier = {"importance": {"optimizer.lr": 0.71}, "chance": {"optimizer.lr": 0.08}}
    (tmp_path / BEST_TRIAL_FILE).write_text(yaml.safe_dump(vars(BEST) | earlier))
    assert BestTrial.read(tmp_path) == BEST


@pytest.mark.parametrize("odd", ["a\nb: [", "a\u2028b: [", "a\x85b: [", "a\x1bb"])
def test_no_command_breaks_the_file(tmp_path: Path, odd: str) -> None:
    of_odd = replace(BEST, command=odd, configuration={"data.path": odd})
    of_odd.write(tmp_path)
    assert BestTrial.read(tmp_path) == of_odd


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trial": "../trial-0001"}, "trial is missing or invalid"),
        ({"trial": "trial-0001\n"}, "trial is missing or invalid"),
        ({"value": math.nan}, "value is missing or invalid"),
        ({"value": "low"}, "value is missing or invalid"),
        ({"trials": {"done": -1}}, "trials.done is missing or invalid"),
        ({"configuration": None}, "configuration is missing or invalid"),
        ({"test": {"rmse": []}}, "test.rmse is missing or invalid"),
    ],
)
def test_damage_is_a_short_message(tmp_path: Path, change: dict[str, object], message: str) -> None:
    (tmp_path / BEST_TRIAL_FILE).write_text(yaml.safe_dump({**vars(BEST), **change}))
    with pytest.raises(UserError, match=f"{BEST_TRIAL_FILE}: is damaged: {message}"):
        BestTrial.read(tmp_path)


@pytest.mark.parametrize("text", ["", "trial: [", "- 1", "trial: trial-0001", "trial: &a [1]\nvalue: *a"])
def test_other_files_are_short_messages(tmp_path: Path, text: str) -> None:
    (tmp_path / BEST_TRIAL_FILE).write_text(text)
    with pytest.raises(UserError, match=BEST_TRIAL_FILE):
        BestTrial.read(tmp_path)


def test_trials_are_in_their_order_and_apart_from_other_runs() -> None:
    def ordered(*names: str) -> list[str]:
        return [run.folder.name for run in trials_in_order([RunResult(Path(name), {}, {}) for name in names])]

    assert ordered("trial-12345", "trial-0042", "trial-9999") == ["trial-0042", "trial-9999", "trial-12345"]
    for other in ("trial-42", "lr=0.1", "trial-0042,x", "a-trial-0042"):
        assert ordered("trial-0001", other) == []
