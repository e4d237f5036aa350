"""The loop of a search, with a launcher that trains nothing; and spaces, as Optuna's distributions."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalStorage
from optuna.trial import TrialState
from support import parsed

from mlplab.config import Sweep
from mlplab.errors import Fault, UserError
from mlplab.runs.compare.run_result import RunResult
from mlplab.runs.discovery import TRIAL
from mlplab.sweeps.grid import Runs, lines_of
from mlplab.sweeps.search.search_loop import FEWEST_MEMBERS, next_bracket, train_trials
from mlplab.sweeps.search.space import is_search, space_of
from mlplab.sweeps.search.study import SearchStudy, status_of
from mlplab.sweeps.sweep_folder import check_sweep_folder
from mlplab.training.rungs import Bracket

SEARCHED = {"optimizer.lr": "tag(log,interval(1e-4,1e-1))", "model.dropout": "interval(0,0.5)"}
SPACE = space_of([], SEARCHED | {"model.hidden": "[8],[16],[32],[64]"})


def settings(**changed: object) -> Sweep:
    usual = {"trials": 24, "minutes": None, "batch": 8, "sampler": "tpe", "pruning": "none", "space": {}}
    return Sweep.model_validate(usual | changed)


class KilledError(BaseException): ...


def error_of(overrides: Sequence[str]) -> dict[str, Any]:
    values = dict(line.split("=", 1) for line in overrides)
    lr = float(values["optimizer.lr"])
    if lr > 0.02:
        return {"status": "diverged", "reason": "the loss became nan"}
    return {"status": "done", "val/mae": abs(lr - 0.01) + float(values["model.dropout"])}


class FakeLauncher:
    """Writes metrics.json in place of training, and remembers the batches.

    After some runs it is killed, and batches with some first trials cannot be trained.
    """

    def __init__(
        self, root: Path, kill_after: int = 10**9, refused: Sequence[int] = (), metrics: Any = None
    ) -> None:
        self.root, self.left, self.refused, self.metrics = root, kill_after, refused, metrics
        self.batches: list[list[int]] = []

    def __call__(self, overrides: Runs, brackets: Mapping[str, Bracket]) -> list[RunResult]:
        numbers = [int(TRIAL.sub(r"\1", name)) for name in overrides]
        if numbers[0] in self.refused:
            raise UserError(Fault("is wrong", "optimizer.lr"))
        self.batches.append(numbers)
        assert brackets.keys() == overrides.keys()
        assert not brackets.get("trial-0000", Bracket(())).rungs
        launched: list[RunResult] = []
        for name, of_run in overrides.items():
            folder, metrics = self.root / name, self.metrics or error_of(lines_of(of_run))
            if not folder.exists():
                if self.left == 0:
                    raise KilledError
                self.left -= 1
                folder.mkdir(parents=True)
                (folder / "metrics.json").write_text(json.dumps(metrics))
            launched.append(RunResult(folder, {}, metrics))
        return launched


def study_in(root: Path, monitor: str = "val/mae", **changed: object) -> SearchStudy:
    root.mkdir(parents=True, exist_ok=True)
    return SearchStudy(root, SPACE, monitor, settings(**changed), 0)


def search_in(root: Path, asked: Sweep, launcher: FakeLauncher | None = None) -> SearchStudy:
    study = study_in(root, **dict(asked))
    defaults = {"optimizer.lr": 0.005, "model.hidden": "[16]"}
    train_trials(launcher or FakeLauncher(root), study, defaults, seconds_per_trial=0.1)
    return study


def values_of(study: SearchStudy) -> list[tuple[object, ...]]:
    return [(trial.number, trial.state, trial.value, tuple(trial.params.items())) for trial in study.trials]


def test_a_search_killed_anywhere_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    asked = settings()
    launcher = FakeLauncher(tmp_path / "whole")
    whole = search_in(tmp_path / "whole", asked, launcher)
    assert launcher.batches == [list(range(8)), list(range(8, 16)), list(range(16, 24))]
    for kill_after in (5, 13):
        root = tmp_path / str(kill_after)
        with pytest.raises(KilledError):
            search_in(root, asked, FakeLauncher(root, kill_after))
        launcher = FakeLauncher(root)
        resumed = search_in(root, asked, launcher)
        assert values_of(resumed) == values_of(whole)
        assert all(trial.state.is_finished() for trial in resumed.trials)
        assert [batch[-1] for batch in launcher.batches] == [7, 15, 23][kill_after // 8 :]


def test_a_trial_is_stored_in_one_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = settings(sampler="random", trials=12, batch=4)
    whole, append = values_of(search_in(tmp_path / "whole", asked)), JournalFileBackend.append_logs
    for writes in (2, 12, 22):
        killed = Mock(side_effect=[None] * writes + [KilledError])
        monkeypatch.setattr(JournalFileBackend, "append_logs", lambda *each: killed() or append(*each))  # noqa: B023
        with pytest.raises(KilledError):
            search_in(tmp_path / str(writes), asked)
        monkeypatch.setattr(JournalFileBackend, "append_logs", append)
        assert values_of(search_in(tmp_path / str(writes), asked)) == whole


def test_a_batch_has_few_shapes_so_that_stacks_are_worth_it(tmp_path: Path) -> None:
    study = search_in(tmp_path, settings(trials=32, batch=16))
    first = study.trials[0].params  # of the configuration
    assert (first["optimizer.lr"], first["model.hidden"]) == (0.005, "[16]")
    shapes = [trial.params["model.hidden"] for trial in study.trials]
    groups = [shapes[start : start + 8] for start in range(0, 32, 8)]
    assert all(len(set(group)) == 1 for group in groups)
    assert len(set(shapes)) > 1
    assert len({trial.params["optimizer.lr"] for trial in study.trials}) == 32


def test_trials_that_diverge_have_no_value_and_are_not_the_best(tmp_path: Path) -> None:
    study = search_in(tmp_path, settings(trials=32))
    diverged = [trial for trial in study.trials if trial.state == TrialState.PRUNED]
    ends = {(status_of(trial), trial.value, trial.user_attrs["reason"]) for trial in diverged}
    assert ends == {("diverged", None, "the loss became nan")}
    assert study.best in study.done
    trial = study.ask({})
    study.tell(trial.number, {"status": "diverged", "rung/1": 0.1})  # after a rung
    for opened in (study, study_in(tmp_path)):
        trial = opened.trials[-1]
        assert (trial.state, trial.values, trial.intermediate_values) == (TrialState.PRUNED, None, {})


@pytest.mark.parametrize(("monitor", "best"), [("val/accuracy", 0.9), ("val/mae", 0.5)])
def test_the_best_trial_is_that_with_the_best_value(tmp_path: Path, monitor: str, best: float) -> None:
    study = study_in(tmp_path, monitor=monitor)
    for value in (0.7, 0.9, 0.5):
        study.tell(study.ask({}).number, {"status": "done", monitor: value})
    assert [each.best and each.best.value for each in (study, study_in(tmp_path, monitor))] == [best] * 2


@pytest.mark.parametrize(("refused", "ended"), [((0,), 0), ((8, 16), 8)])
def test_a_search_ends_if_batches_are_refused(tmp_path: Path, refused: tuple[int, ...], ended: int) -> None:
    with pytest.raises(UserError, match=r"optimizer\.lr: is wrong"):
        search_in(tmp_path, settings(), FakeLauncher(tmp_path, refused=refused))
    study = search_in(tmp_path, settings())  # the mistake is corrected
    failed = [trial for trial in study.trials if trial.state == TrialState.FAIL]
    assert [trial.number for trial in failed] == list(range(8, 8 + ended))
    assert {trial.user_attrs["reason"] for trial in failed} <= {"optimizer.lr: is wrong"}
    assert len(study.trials) == 24


def test_metrics_that_are_not_defined_are_the_worst(tmp_path: Path) -> None:
    undefined = {"status": "done", "val/mae": None, "rung/1": None, "rung/2": 4.0, "rung": 2}
    launcher = FakeLauncher(tmp_path, metrics=undefined)
    study = search_in(tmp_path, settings(trials=8, pruning="halving"), launcher)
    assert {trial.state for trial in study.trials} == {TrialState.FAIL}
    assert {trial.user_attrs["reason"] for trial in study.trials} == {"val/mae is not defined"}

    pruned = {"status": "pruned", "reason": "", "rung/1": None, "rung/2": 4.0, "rung": 2}
    launcher = FakeLauncher(tmp_path, metrics=pruned)
    study = search_in(tmp_path, settings(trials=16, pruning="halving"), launcher)
    assert [trial.value for trial in study.trials[8:]] == [4.0] * 8
    bracket = next_bracket(study, math.inf)
    assert [rung.earlier for rung in bracket.rungs] == [(math.inf,) * 8, (4.0,) * 8]


def test_a_search_stops_when_its_time_is_over(tmp_path: Path) -> None:
    launcher = FakeLauncher(tmp_path)
    study = search_in(tmp_path, settings(trials="auto", minutes=0.005), launcher)  # 0.1 s a trial at first
    assert len(launcher.batches[0]) == 8
    assert all(trial.state.is_finished() for trial in study.trials)
    short = search_in(tmp_path / "short", settings(trials="auto", minutes=1e-6, batch=16))
    assert len(short.trials) == FEWEST_MEMBERS


def test_a_torn_last_line_of_the_journal_is_removed_but_no_other(tmp_path: Path) -> None:
    study = search_in(tmp_path, settings(trials=8))
    with study.path.open("a") as file:
        file.write('{"op_code": 4, "wor')
    assert values_of(search_in(tmp_path, settings(trials=8))) == values_of(study)
    for trials in (16, 12):
        assert len(search_in(tmp_path, settings(trials=trials)).trials) == 16
    lines = study.path.read_text().splitlines(keepends=True)
    study.path.write_text("".join([*lines[:3], "{", *lines[4:]]))
    with pytest.raises(UserError, match=r"study\.journal: is damaged: .*\n.*name=…"):
        study_in(tmp_path)


@pytest.mark.filterwarnings("ignore:The value of `grace_period` might be too small")
def test_a_lock_of_a_killed_process_is_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = "mlplab.sweeps.search.study.JournalFileOpenLock"
    monkeypatch.setattr(lock, lambda path, _: JournalFileOpenLock(path, 1))
    study = search_in(tmp_path, settings(trials=2))
    study.path.with_name(f"{study.path.name}.lock").touch()
    assert len(search_in(tmp_path, settings(trials=3)).trials) == 3


def test_a_search_and_a_grid_do_not_share_a_folder(tmp_path: Path) -> None:
    study_in(tmp_path / "search")
    check_sweep_folder(tmp_path / "search", searches=True)
    with pytest.raises(UserError, match="is the folder of a search"):
        check_sweep_folder(tmp_path / "search", searches=False)
    run = tmp_path / "grid/seed=1"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").touch()
    check_sweep_folder(tmp_path / "grid", searches=False)
    with pytest.raises(UserError, match="contains runs that are not of a search"):
        check_sweep_folder(tmp_path / "grid", searches=True)
    (tmp_path / "grid/notes.txt").touch()
    with pytest.raises(UserError, match="exists and is not empty"):
        check_sweep_folder(tmp_path / "grid", searches=False)


def test_what_a_search_is_does_not_change(tmp_path: Path) -> None:
    keys = {"a": "0 to 1", "seed": 0, "task": "auto"}
    study = study_in(tmp_path)
    assert study.check_same(keys, {"rows": 9}) == {"rows": 9}
    study.ask({})
    assert study.check_same(keys, {}) == {"rows": 9}
    said = r"seed: differs from the search in .* \(found 1, expected 0\)(?s:.*)b: .*expected no such key\)"
    with pytest.raises(UserError, match=said):
        study.check_same({"a": "0 to 1", "seed": 1, "b": "0 to 1"}, {})
    study.ask({})
    with pytest.raises(UserError, match=r"has 2 trials already \(found 1\)\n.* such as sweep.trials=10"):
        study_in(tmp_path, trials=1).check_same(keys, {})
    storage = JournalStorage(JournalFileBackend(str(study.path)))
    optuna.load_study(study_name="search", storage=storage).set_user_attr("identity", {"version": "0.1"})
    with pytest.raises(UserError, match="was written by another version of mlplab"):
        study_in(tmp_path).check_same(keys, {})


def test_trials_are_compared_with_those_that_have_ended(tmp_path: Path) -> None:
    study = study_in(tmp_path, "val/r2", pruning="halving")
    ended = [("pruned", [0.1]), ("done", [0.5, 0.7]), ("pruned", [0.3, 0.4])]
    for number, (status, rungs) in enumerate(ended):
        study.ask({})
        values = {f"rung/{rung}": value for rung, value in enumerate(rungs, 1)}
        study.tell(number, {"status": status, "val/r2": 0.8} | values)
    study.ask({})
    bracket = next_bracket(study, math.inf)
    assert [rung.earlier for rung in bracket.rungs] == [(-0.1, -0.5, -0.3), (-0.7, -0.4)]  # low is good
    assert [rung.share for rung in bracket.rungs] == pytest.approx([1 / 9, 1 / 3])
    assert next_bracket(study_in(tmp_path, "val/r2"), 5.0) == Bracket((), 5.0)


LR = "optimizer.lr=tag(log,interval(1e-4,1e-1))"


@pytest.mark.parametrize(
    ("key", "text", "distribution"),
    [
        ("optimizer.lr", "tag(log,interval(1e-4,1e-1))", FloatDistribution(1e-4, 0.1, log=True)),
        ("model.width", "tag(log,int(interval(16,256)))", IntDistribution(16, 256, log=True)),
        ("model.dropout", "range(0.1,1,0.3)", FloatDistribution(0.1, 1.0, step=0.3)),
        ("model.width", "range(1,100000000000)", IntDistribution(1, 99_999_999_999)),
        ("model.hidden", "[64,64],[8]", CategoricalDistribution(["[64,64]", "[8]"])),
        ("model/preprocessing", "choice(standard,none)", CategoricalDistribution(["standard", "none"])),
    ],
)
def test_values_in_the_syntax_of_hydra(key: str, text: str, distribution: object) -> None:
    space = space_of(parsed(f"+{key}={text}", "seed=3"), {})
    assert {name: each.distribution for name, each in space.dimensions.items()} == {key: distribution}
    assert space.dimensions[key].override.get_value_string() == text
    value = getattr(distribution, "choices", [0.1 / 3])[0]
    assert lines_of(space.overrides({key: value})) == ["seed=3", f"+{key}={value}"]


def test_the_command_line_replaces_and_removes_keys_of_the_configuration() -> None:
    configured = {"optimizer.lr": "interval(0.1,0.2)", "model.dropout": "choice(0.0,0.1)"}
    configured["model.norm"] = "none,layer"
    space = space_of(parsed(LR, "model.dropout=0.3"), configured)
    texts = {key: each.override.get_value_string() for key, each in space.dimensions.items()}
    assert texts == {"model.norm": "none,layer", "optimizer.lr": "tag(log,interval(1e-4,1e-1))"}
    assert lines_of(space.fixed) == ["model.dropout=0.3"]


@pytest.mark.parametrize(
    ("line", "value", "expected"),
    [
        (LR, 0.005, 0.005),
        (LR, 5, None),
        ("model.hidden=auto,[8]", [8], "[8]"),
        ("model.hidden=auto,[8]", [9], None),
        ("model.dropout=0,0.1", 0.0, "0"),
        ("model.periodic_features=range(0,17,8)", 9, None),
        ("model.dropout=range(0,0.5,0.1)", 0.3, 0.3),
        ("data.batch_size=null,16,32", None, "null"),
    ],
)
def test_a_value_of_the_configuration_in_the_space(line: str, value: object, expected: object) -> None:
    (dimension,) = space_of(parsed(line), {}).dimensions.values()
    assert dimension.matching_value(value) == expected


def test_what_asks_for_a_search() -> None:
    searches = ("optimizer.lr=interval(0.1,0.2)", "optimizer.lr=0.1,0.2 sweep.trials=4", "sweep=mlp")
    grids = ("optimizer.lr=0.1,0.2 seed=range(4)", "name=sweep")
    for words in (*searches, *grids):
        assert is_search(parsed(*words.split()), settings(trials="auto")) == (words in searches), words
        assert is_search(parsed(*words.split()), settings(minutes=3.0))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("optimizer.lr=interval(0.1,0.01)", r"`low <= high` must hold, .*low=0.1, high=0.01\) \(found"),
        ("optimizer.lr=tag(log,interval(0,1))", "`low > 0` must hold for `log=True`"),
        ("optimizer.lr=interval(0.1,0.1)", "has one value, so there is nothing to search"),
        ("optimizer.lr=range(0,0)", "has no values"),
        ("optimizer.lr=tag(log,range(0.1,0.9,0.1))", r"tag\(…\) has no meaning here"),
        ("seed=range(4)", "cannot be searched"),
        ("seed=1", "there is no key to search"),
    ],
)
def test_spaces_that_are_refused(line: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        space_of(parsed(line), {})
    with pytest.raises(UserError, match="has one value"):
        space_of([], {"optimizer.lr": "0.1"})
