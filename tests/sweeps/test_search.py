"""The loop of a search, with a function in place of training."""

import json
import math
import pickle
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from mlplab.config import Sweep, parse_sweep
from mlplab.errors import Fault, UserError
from mlplab.runs.best_trial import trial_name
from mlplab.sweeps.search.pruning import brackets, first_rung
from mlplab.sweeps.search.search import Search
from mlplab.sweeps.search.space import read_space
from mlplab.sweeps.search.study import SearchStudy, TrialResult
from mlplab.training.pruning import Bracket

SPACE = read_space(
    [
        "optimizer.lr=tag(log,interval(1e-4,1e-1))",
        "model.dropout=interval(0,0.5)",
        "model.hidden=[8],[16],[32],[64]",
    ],
    {},
)


def settings(**changed: object) -> Sweep:
    usual = {
        "trials": 24,
        "minutes": None,
        "batch": 8,
        "sampler": "tpe",
        "pruning": "none",
        "storage": "journal",
    }
    return parse_sweep(usual | {"ensemble": None, "space": {}} | changed)


class KilledError(BaseException):
    pass


class Trained:
    """In place of training: writes metrics.json, and remembers the batches."""

    def __init__(self, root: Path, kill_after: int = 10**9) -> None:
        self.root, self.left = root, kill_after
        self.batches: list[list[int]] = []

    def __call__(self, batch: Sequence[FrozenTrial]) -> None:
        self.batches.append([trial.number for trial in batch])
        for trial in batch:
            folder = self.root / trial_name(trial.number)
            if folder.exists():
                continue
            if self.left == 0:
                raise KilledError
            self.left -= 1
            folder.mkdir(parents=True)
            lr = trial.params["optimizer.lr"]
            content: dict[str, Any] = {
                "status": "done",
                "val/mae": abs(lr - 0.01) + trial.params["model.dropout"],
            }
            if lr > 0.02:
                content = {"status": "diverged", "reason": "the loss became nan"}
            (folder / "metrics.json").write_text(json.dumps(content))


def search_in(root: Path, asked: Sweep, train: Callable[[Sequence[FrozenTrial]], None]) -> SearchStudy:
    root.mkdir(parents=True, exist_ok=True)
    study = SearchStudy(root, asked.storage, SPACE, "val/mae", asked.sampler, 0)
    defaults = {"optimizer.lr": 0.005, "model.hidden": "[16]"}
    deadline = asked.minutes and time.time() + 60 * asked.minutes
    search = Search(
        root, asked, study, "val/mae", defaults, ["model.hidden"], train, lambda n: 0.1 * n, deadline
    )
    search.run()
    return study


def values_of(study: SearchStudy) -> list[tuple[object, ...]]:
    return [(trial.number, trial.state, trial.value, tuple(trial.params.items())) for trial in study.trials]


@pytest.mark.parametrize(
    ("sampler", "storage"),
    [("tpe", "journal"), ("cmaes", "journal"), ("random", "journal"), ("qmc", "journal"), ("tpe", "sqlite")],
)
def test_a_search_killed_anywhere_ends_as_if_it_had_not_been(
    tmp_path: Path, sampler: str, storage: str
) -> None:
    asked = settings(sampler=sampler, storage=storage)
    whole = search_in(tmp_path / "whole", asked, Trained(tmp_path / "whole"))
    assert len(whole.trials) == 24
    for kill_after in (0, 5, 8, 13):
        root = tmp_path / str(kill_after)
        with pytest.raises(KilledError):
            search_in(root, asked, Trained(root, kill_after))
        resumed = search_in(root, asked, Trained(root))
        assert values_of(resumed) == values_of(whole)
        assert not resumed.running


def test_the_first_trial_has_the_values_of_the_configuration(tmp_path: Path) -> None:
    study = search_in(tmp_path, settings(trials=1), Trained(tmp_path))
    (trial,) = study.trials
    assert trial.params["optimizer.lr"] == 0.005
    assert trial.params["model.hidden"] == "[16]"


def test_a_batch_has_few_shapes_so_that_stacks_are_worth_it(tmp_path: Path) -> None:
    study = search_in(tmp_path, settings(trials=48, batch=16), Trained(tmp_path))
    shapes = [trial.params["model.hidden"] for trial in study.trials]
    groups = [shapes[start : start + 8] for start in range(0, 48, 8)]
    assert all(len(set(group)) == 1 for group in groups)
    assert len(set(shapes)) > 1
    assert len({trial.params["optimizer.lr"] for trial in study.trials}) == 48


def test_batches_end_at_multiples_of_their_size_after_a_kill(tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        search_in(tmp_path, settings(), Trained(tmp_path, kill_after=11))
    trained = Trained(tmp_path)
    search_in(tmp_path, settings(trials=30), trained)
    assert trained.batches == [list(range(8, 16)), list(range(16, 24)), list(range(24, 30))]


def test_trials_that_diverge_have_no_value_and_are_not_the_best(tmp_path: Path) -> None:
    study = search_in(tmp_path, settings(trials=32), Trained(tmp_path))
    diverged = [trial for trial in study.trials if trial.state == TrialState.PRUNED]
    assert diverged
    assert all(trial.user_attrs["diverged"] == "the loss became nan" for trial in diverged)
    assert study.best
    assert study.best.value == min(
        trial.value or 9 for trial in study.trials if trial.state == TrialState.COMPLETE
    )


@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "random"])
def test_a_trial_is_stored_in_one_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sampler: str
) -> None:
    asked = settings(sampler=sampler, trials=12, batch=4)
    whole = values_of(search_in(tmp_path / "whole", asked, Trained(tmp_path / "whole")))
    append = JournalFileBackend.append_logs
    for writes in range(2, 24, 2):
        root, left = tmp_path / str(writes), writes

        def append_or_die(self: JournalFileBackend, logs: list[dict[str, Any]]) -> None:
            nonlocal left
            if left == 0:
                raise KilledError
            left -= 1
            append(self, logs)

        monkeypatch.setattr(JournalFileBackend, "append_logs", append_or_die)
        with pytest.raises(KilledError):
            search_in(root, asked, Trained(root))
        monkeypatch.setattr(JournalFileBackend, "append_logs", append)
        assert values_of(search_in(root, asked, Trained(root))) == whole


def refusing(train: Callable[[Sequence[FrozenTrial]], None], *batches: int) -> Any:
    """Trains, but for batches that begin with these trials."""

    def train_or_refuse(batch: Sequence[FrozenTrial]) -> None:
        if batch[0].number in batches:
            raise UserError(Fault("is wrong", "optimizer.lr"))
        train(batch)

    return train_or_refuse


def test_a_trial_that_diverges_after_a_rung_has_no_value_either(tmp_path: Path) -> None:
    study = SearchStudy(tmp_path, "journal", SPACE, "val/mae", "random", 0)
    study.ask({})
    study.tell(0, TrialResult("diverged", None, {1: 0.1}, "the loss became nan"))
    for trial in (study.trials[0], SearchStudy(tmp_path, "journal", SPACE, "val/mae", "random", 0).trials[0]):
        assert (trial.state, trial.values, trial.intermediate_values) == (TrialState.PRUNED, None, {})


def test_a_batch_that_cannot_be_trained_has_failed(tmp_path: Path) -> None:
    study = search_in(tmp_path, settings(), refusing(Trained(tmp_path), 8))
    failed = [trial for trial in study.trials if trial.state == TrialState.FAIL]
    assert [trial.number for trial in failed] == list(range(8, 16))
    assert {trial.user_attrs["failed"] for trial in failed} == {"optimizer.lr: is wrong"}


@pytest.mark.parametrize(("refused", "ended"), [((0,), 0), ((8, 16), 8)])
def test_a_search_ends_if_its_first_or_two_batches_in_a_row_cannot_be_trained(
    tmp_path: Path, refused: tuple[int, ...], ended: int
) -> None:
    with pytest.raises(UserError, match=r"optimizer\.lr: is wrong"):
        search_in(tmp_path, settings(), refusing(Trained(tmp_path), *refused))
    study = search_in(tmp_path, settings(), Trained(tmp_path))  # the mistake is corrected
    failed = [trial for trial in study.trials if trial.state == TrialState.FAIL]
    assert (len(study.trials), len(failed)) == (24, ended)


def test_metrics_that_are_not_defined_are_the_worst(tmp_path: Path) -> None:
    def train(batch: Sequence[FrozenTrial]) -> None:
        for trial in batch:
            (tmp_path / trial_name(trial.number)).mkdir()
            content = {"status": "done", "val/mae": None, "rung/1": None, "rung/2": 4.0, "rung": 2}
            (tmp_path / trial_name(trial.number) / "metrics.json").write_text(json.dumps(content))

    study = search_in(tmp_path, settings(trials=8, pruning="halving"), train)
    assert {trial.state for trial in study.trials} == {TrialState.FAIL}
    assert {trial.user_attrs["failed"] for trial in study.trials} == {"val/mae is not defined"}
    (bracket, *_) = brackets(study.trials, study, "halving", None).values()
    assert [rung.earlier for rung in bracket.rungs] == [(math.inf,) * 8, (4.0,) * 8]


def test_a_database_is_in_the_folder_of_the_sweep_whatever_its_name(tmp_path: Path) -> None:
    root = tmp_path / "a?b#c%20{d}"
    assert search_in(root, settings(trials=8, storage="sqlite"), Trained(root)).trials
    assert (root / "study.db").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [root.name]


def test_a_search_stops_when_its_time_is_over(tmp_path: Path) -> None:
    study = search_in(
        tmp_path, settings(trials="auto", minutes=0.05), Trained(tmp_path)
    )  # 0.8 s a batch at first
    assert study.trials
    assert not study.running
    none = search_in(tmp_path / "none", settings(trials="auto", minutes=1e-6), Trained(tmp_path / "none"))
    assert len(none.trials) == 1  # at least one


def test_a_torn_line_of_the_journal_is_removed(tmp_path: Path) -> None:
    study = search_in(tmp_path, settings(trials=8), Trained(tmp_path))
    before = values_of(study)
    with study.path.open("a") as file:
        file.write('{"op_code": 4, "wor')
    assert values_of(search_in(tmp_path, settings(trials=8), Trained(tmp_path))) == before
    assert len(search_in(tmp_path, settings(trials=16), Trained(tmp_path)).trials) == 16


def test_a_study_cannot_run_code(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "attacked",))

    study = search_in(tmp_path / "s", settings(trials=24, sampler="cmaes"), Trained(tmp_path / "s"))
    names = {name for trial in study.trials for name in trial.system_attrs if ":optimizer:" in name}
    assert names  # what is replaced now is what Optuna would load
    code = {name: pickle.dumps(Attack()).hex() if name.endswith(":0") else "" for name in names}
    trial = create_trial(state=TrialState.RUNNING, system_attrs=code)
    study.storage.create_new_trial(study.storage.get_study_id_from_name("search"), trial)
    with pytest.raises(UserError, match="does not hold the state of CMA-ES"):
        search_in(tmp_path / "s", settings(trials=32, sampler="cmaes"), Trained(tmp_path / "s"))
    assert not (tmp_path / "attacked").exists()


def test_a_lock_that_a_killed_process_has_left_is_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlplab.sweeps.search.study.LOCK_SECONDS", 3)
    study = search_in(tmp_path, settings(trials=8), Trained(tmp_path))
    study.path.with_name(f"{study.path.name}.lock").touch()
    assert len(search_in(tmp_path, settings(trials=16), Trained(tmp_path)).trials) == 16


def test_hyperband_mixes_the_trials_of_a_round() -> None:
    first = [first_rung(number, "hyperband") for number in range(34)]
    assert [first[:17].count(rung) for rung in range(3)] == [9, 5, 3]
    assert first[:17] == first[17:]
    assert all(len(set(first[start : start + 8])) == 3 for start in range(9))  # also those of a small stack
    assert {first_rung(number, "halving") for number in range(17)} == {0}


def test_trials_are_compared_with_those_of_their_bracket_that_have_ended(tmp_path: Path) -> None:
    study = SearchStudy(tmp_path, "journal", SPACE, "val/r2", "random", 0)
    for number, (status, rungs) in enumerate(
        [("pruned", [0.1]), ("done", [0.5, 0.7]), ("pruned", [0.3, 0.4])]
    ):
        study.ask({})
        study.tell(number, TrialResult(status, 0.8, dict(enumerate(rungs, 1))))
    running = study.ask({})
    found = brackets([running], study, "halving", None)[3]
    assert [rung.earlier for rung in found.rungs] == [(-0.1, -0.5, -0.3), (-0.7, -0.4)]  # low is good
    assert [rung.share for rung in found.rungs] == pytest.approx([1 / 9, 1 / 3])
    assert brackets([running], study, "none", 5.0)[3] == Bracket((), 5.0)
    assert brackets([study.trials[0]], study, "halving", 5.0) == {}  # the first is never pruned


def test_a_storage_of_another_version_of_optuna_is_refused(tmp_path: Path) -> None:
    SearchStudy(tmp_path, "sqlite", SPACE, "val/mae", "tpe", 0)
    with closing(sqlite3.connect(tmp_path / "study.db")) as database:
        database.execute("update alembic_version set version_num = 'v0.9'")
        database.commit()
    with pytest.raises(UserError, match="written by another version of Optuna"):
        SearchStudy(tmp_path, "sqlite", SPACE, "val/mae", "tpe", 0)


def test_a_storage_that_is_locked_or_no_storage_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlplab.sweeps.search.study.LOCK_SECONDS", 1)
    SearchStudy(tmp_path, "sqlite", SPACE, "val/mae", "tpe", 0)
    with closing(sqlite3.connect(tmp_path / "study.db", isolation_level=None)) as database:
        database.execute("begin exclusive")
        with pytest.raises(UserError, match="is locked by another process"):
            SearchStudy(tmp_path, "sqlite", SPACE, "val/mae", "tpe", 0)
    (tmp_path / "study.db").write_bytes(b"no database" * 100)
    with pytest.raises(UserError, match="is damaged"):
        SearchStudy(tmp_path, "sqlite", SPACE, "val/mae", "tpe", 0)


@pytest.mark.parametrize(("monitor", "best"), [("val/accuracy", 0.9), ("val/mae", 0.5)])
def test_the_best_trial_is_that_with_the_best_value(tmp_path: Path, monitor: str, best: float) -> None:
    study = SearchStudy(tmp_path, "journal", SPACE, monitor, "random", seed=0)
    for value in (0.7, 0.9, 0.5):
        study.tell(study.ask({}).number, TrialResult("done", value))
    assert study.best is not None
    assert study.best.value == best
