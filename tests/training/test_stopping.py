import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support import config
from torch import nn

from mlplab.training.callbacks.pruning import rung_numbers, survivors
from mlplab.training.callbacks.stopping import EarlyStopping, NoProgress, ShrinkStack
from mlplab.training.members import Members, Progress
from mlplab.training.rungs import Rung

pytestmark = pytest.mark.usefixtures("full_speed")  # whose checks would want a whole stack

EPOCHS = 60


class Constant(nn.Module):
    def __init__(self, values: list[float]) -> None:
        super().__init__()
        self.values = nn.Buffer(torch.tensor(values, dtype=torch.float64).view(-1, 1, 1))


def stops_after(
    best_epochs: list[int],
    *,
    ensemble: int = 2,
    last: int = EPOCHS,
    key: str = "",
    diverged: Sequence[int] = (),
    error: float = 0.5,
) -> list[int]:
    """The epochs after which runs stop whose networks had their best epochs then; 0: they do not.

    The lowest error is that of simple models times `error`.
    """
    members, stopped = Members(len(best_epochs), ensemble), [0] * (len(best_epochs) // ensemble)
    members.active[[*diverged]] = False
    network, epochs = Constant([0.5] * len(best_epochs)), torch.tensor(best_epochs)
    module = SimpleNamespace(members=members, network=network)
    stack: Any = SimpleNamespace(
        module=module,
        runs=[SimpleNamespace(config=config(*filter(None, [key])))] * len(stopped),
        members=lambda run: [*range(run * ensemble, (run + 1) * ensemble)],
        stopping=EarlyStopping([config().callbacks.early_stopping] * len(best_epochs)),
    )
    callback, lowest = NoProgress(stack.runs), torch.full((len(stopped),), 2 * error, dtype=torch.float64)
    module.scores_of_simple_models = lambda: torch.full((len(epochs),), 2, dtype=torch.float64)
    callback.on_start(stack)
    for epoch in range(1, last + 1):
        module.progress = Progress(1, last, epoch)
        best_epochs = torch.where(epochs <= epoch, epochs, epoch)
        stack.best = SimpleNamespace(epochs=best_epochs, by_run=lambda module: lowest)
        callback.on_epoch(stack)
        for run, active in enumerate(members.active_runs().tolist()):
            stopped[run] = stopped[run] or epoch * (not active)
    return stopped


def test_a_run_stops_when_the_second_half_of_its_epochs_brought_no_progress() -> None:
    assert stops_after([9, 20, 1, 2, 30, 31]) == [40, 6, 0]
    assert stops_after([1], ensemble=1, last=200) == [20]
    assert stops_after([1, 2, 3], ensemble=1, last=10) == [4, 4, 6]
    assert stops_after([1], ensemble=1, last=3) == stops_after([1], ensemble=1, last=4) == [0]
    assert stops_after([9, 50], diverged=[1]) == [18]
    assert stops_after([1, 2, 50, 50], error=0.999, last=100) == [40, 0]
    patience = "callbacks.early_stopping.patience"
    for key, expected in ((f"{patience}=50", 0), (f"{patience}=null", 0), ("scheduler=coslog", 28)):
        assert stops_after([9, 12], key=key) == [expected]


def test_a_member_stops_when_its_metric_has_not_improved_for_as_long_as_its_patience() -> None:
    sections = [
        config(*(f"callbacks.early_stopping.{word}" for word in each)).callbacks.early_stopping
        for each in (["patience=2"], ["patience=2", "min_delta=0.5"], ["patience=null"])
    ]
    stopping, members, active = EarlyStopping(sections), Members(3, 1), []
    for value in (3.0, 2.9, 2.8, 2.8, 2.8, 1.0):
        network = Constant([value] * 3)
        module: Any = SimpleNamespace(members=members, network=network, monitored=network.values.flatten())
        stopping.on_epoch(SimpleNamespace(module=module))  # type: ignore[arg-type]
        active.append(members.active.tolist())
    assert [sum(each) for each in zip(*active, strict=True)] == [4, 2, 6]
    assert stopping.last_weights(module)["values"].flatten().tolist() == [2.8, 2.8, 1.0]


@pytest.mark.parametrize(
    ("left", "epoch", "stops", "shrinks"),
    [(3, 5, False, False), (2, 5, True, True), (2, EPOCHS, False, False), (0, 5, True, False)],
)
def test_a_stack_shrinks_when_few_runs_go_on(left: int, epoch: int, stops: bool, shrinks: bool) -> None:
    members, callback = Members(8, 2), ShrinkStack()
    members.active[2 * left :] = False
    module = SimpleNamespace(members=members, progress=Progress(1, EPOCHS, epoch))
    stack: Any = SimpleNamespace(module=module, trainer=SimpleNamespace(should_stop=False))
    callback.on_epoch(stack)
    assert (stack.trainer.should_stop, callback.triggered) == (stops, shrinks)


values = st.sampled_from([0.0, 1.0, 2.5, 7.0, math.inf]) | st.floats(allow_nan=False)  # many are equal


@given(st.lists(values, min_size=1, max_size=20), st.lists(values, max_size=20))
def test_those_with_fewer_better_values_than_places_go_on(now: list[float], earlier: list[float]) -> None:
    everything = now + earlier
    kept = max(1, len(everything) // 3)
    assert survivors(now, earlier) == [sum(other < value for other in everything) < kept for value in now]


def test_the_later_of_two_rungs_at_one_epoch_counts_and_none_at_the_last() -> None:
    """Shares are not rounded up by their last bits."""
    assert 0.07 * 100 > 7
    for shares, epochs, expected in (
        ((0.07, 1 / 9, 1 / 3), 100, {7: 1, 12: 2, 34: 3}),
        ((0.01, 0.2, 0.5, 0.9), 5, {1: 2, 3: 3}),
        ((0.01, 0.2, 0.5, 0.9), 1, {}),
    ):
        assert rung_numbers([Rung(share, ()) for share in shares], epochs) == expected
