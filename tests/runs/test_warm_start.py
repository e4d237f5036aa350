"""What a run takes from the one that it starts from: which weights, and which rows that one has seen."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from runs.unfinished import untrained
from support import SMALL, resolved

from mlplab.data.cache import DataCache
from mlplab.errors import UserError
from mlplab.runs import checkpoint, warm_start
from mlplab.runs.planned_run import PlannedRun
from mlplab.runs.trained.trained_run import TrainedRun, seen_entry
from mlplab.runs.warm_start import WarmStart, initial_weights, seen_rows_warnings, warm_starts

pytestmark = pytest.mark.usefixtures("full_speed")

ONE, TWO = "model.activation=relu", "model.activation=[tanh,relu]"


def source(*overrides: str) -> TrainedRun:
    [trained] = untrained([*SMALL, *overrides])
    return trained


@pytest.mark.parametrize(
    ("trained", "run", "expected"),
    [
        ([ONE, "ensemble=2"], [ONE, "ensemble=5"], [0, 1, 0, 1, 0]),
        (["ensemble=4", TWO], ["ensemble=4", "model.activation=[tanh,relu,tanh]"], [0, 1, 2, 1]),
        (["ensemble=1"], ["ensemble=1", "model.dropout=0.5"], [0]),
    ],
)
def test_which_weights_a_network_starts_from(trained: list[str], run: list[str], expected: list[int]) -> None:
    of = source(*trained)
    found = initial_weights(resolved(*SMALL, *run), of)
    assert found.places == expected
    assert all(torch.equal(found.state[name], tensor) for name, tensor in of.state.items())
    assert found.offsets == of.schema.offsets


def test_of_members_that_diverged_others_give_the_weights() -> None:
    trained = source(ONE, "ensemble=4")
    state = {name: tensor[[0, 2, 3]] for name, tensor in trained.state.items()}
    trained = replace(trained, weights={0: 0.5, 2: 0.25, 3: 0.25}, state=state)
    assert initial_weights(trained.config, trained).places == [0, 1, 1, 2]


@pytest.mark.parametrize(("key", "value"), [("hidden", "[8]"), ("activation", "elu")])
def test_another_architecture_is_refused_with_its_keys(key: str, value: str) -> None:
    with pytest.raises(UserError, match=rf"init_from=r0: has a different architecture: model\.{key}"):
        initial_weights(resolved(*SMALL, ONE, f"model.{key}={value}"), source(TWO, "ensemble=2"))


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Callable[..., WarmStart]:
    """What a run with these overrides gets from a trained one, with the rows of its table and its split."""

    def starts(trained: TrainedRun, *overrides: str) -> WarmStart:
        monkeypatch.setattr(warm_start, "source", lambda *_: trained)
        run = resolved(*SMALL, "init_from=r", *overrides, cache=(cache := DataCache()))
        return warm_starts([PlannedRun(run, Path("s"))], cache)[0]

    return starts


OTHER = "data.split.seed=1"


def overlap(rows: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> int:
    return len(np.intersect1d(np.concatenate(rows), np.concatenate(others)))


def test_with_the_same_rows_held_out_nothing_was_seen_before(start: Callable[..., WarmStart]) -> None:
    for ensemble in ("ensemble=1", "ensemble=2"):
        found = start(source(ensemble), ensemble)
        assert (found.inherited, found.trained_before) == ([], 0)
        assert seen_rows_warnings(found) == []
    found = start(trained := source("ensemble=2"), "ensemble=1")  # other networks have seen them
    assert (found.inherited, found.trained_before) == (trained.seen, len(found.data.split.val))
    [warning] = seen_rows_warnings(found)
    assert "held-out rows were in its training" in warning


def test_rows_of_another_split_were_seen_and_are_counted(start: Callable[..., WarmStart]) -> None:
    trained = source("ensemble=1")
    before = DataCache().data(trained.config).split
    found = start(trained, OTHER, "ensemble=1")
    now = found.data.split
    assert found.inherited == trained.seen
    assert found.trained_before == overlap([now.val], [before.train]) > 0
    tested, held_out = seen_rows_warnings(found)
    count = overlap([now.test], [before.train, before.val])
    assert f"init_from=r: {count} of the 9 test rows were in its training or validation, so" in tested
    assert f"{found.trained_before} of the 9 held-out rows were in its training, so" in held_out
    assert "there are no intervals or sets; use data.split and ensemble=… of that run" in held_out

    by_chance = replace(trained.seen[0], by_chance=np.array([10, 10]))  # rows that are equal by chance
    assert start(replace(trained, seen=[by_chance]), OTHER, "ensemble=1").trained_before == 0
    uncounted = replace(trained.seen[0], by_chance=np.zeros(2, np.int64))  # as in runs of 1.0
    [inherited] = start(replace(trained, seen=[uncounted]), OTHER, "ensemble=1").inherited
    assert inherited.by_chance.tolist() == found.data.seen.by_chance.tolist()

    found = start(replace(trained, seen=None), "ensemble=1")
    assert (found.inherited, found.trained_before) == (None, 0)
    [warning] = seen_rows_warnings(found)
    assert "which rows were in its training cannot be told" in warning


def test_a_resumed_run_reads_what_it_inherited_in_its_own_folder(tmp_path: Path) -> None:
    cache = DataCache()
    seen = source("ensemble=1").seen
    plan = PlannedRun(resolved(*SMALL, "init_from=gone", "ensemble=1", OTHER, cache=cache), tmp_path)
    (tmp_path / "checkpoints").mkdir()
    for inherited in (seen, None):
        checkpoint.save(path := tmp_path / "checkpoints/source.ckpt", seen_entry(inherited))
        [found] = warm_starts([plan], cache, resumed=True)
        assert found.initial is None
        digests = [rows.digest for rows in found.inherited or ()]
        assert digests == [rows.digest for rows in inherited or ()]
        assert (found.trained_before > 0) == bool(inherited)
    path.unlink()
    assert warm_starts([plan], cache, resumed=True)[0].inherited is None
    [found] = warm_starts([PlannedRun(resolved(*SMALL, cache=cache), Path("s"))], cache)
    assert (found.initial, found.inherited, found.trained_before) == (None, (), 0)  # it starts from none
