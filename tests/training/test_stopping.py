import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support import config
from torch import Tensor, nn

from mlplab.training.callbacks.pruning import rung_numbers, survivors
from mlplab.training.callbacks.stopping import EarlyStopping, ShrinkStack, StageStopping
from mlplab.training.members import Members, Progress
from mlplab.training.rungs import Rung

pytestmark = pytest.mark.usefixtures("full_speed")  # whose checks would want a whole stack

EPOCHS = 63  # whose stages end after 1, 3, 7, 15, 31 and 63 epochs


class Constant(nn.Module):
    def __init__(self, values: list[float]) -> None:
        super().__init__()
        self.values = nn.Buffer(torch.tensor(values, dtype=torch.float64).view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.values.expand(-1, x.shape[1], 1)


def stack_of(
    rows: list[Tensor],
    *,
    epoch: int = 7,
    best_epoch: int = 3,
    ensemble: int = 1,
    now: float = 0.5,
    patience: int | str = "auto",
    weight: Tensor | None = None,
) -> Any:
    """Members that hold out these rows, whose targets are −1, and predicted 0 in their best epochs."""
    network, best = (Constant([value] * len(rows)) for value in (now, 0.0))
    y = -torch.ones(len(rows), max(map(len, rows)), 1, dtype=torch.float64)
    batch = SimpleNamespace(x=torch.zeros_like(y), y=y, row_weight=weight)
    callbacks = SimpleNamespace(early_stopping=SimpleNamespace(patience=patience))
    settings = SimpleNamespace(callbacks=callbacks, scheduler=config("scheduler=cosine").scheduler)
    module = SimpleNamespace(
        progress=Progress(1, EPOCHS, epoch), members=Members(len(rows), ensemble), network=network
    )
    module.configs = [SimpleNamespace(quantiles=())]
    section = config("callbacks.early_stopping.patience=null").callbacks.early_stopping
    return SimpleNamespace(
        module=module,
        runs=[SimpleNamespace(config=settings)] * (len(rows) // ensemble),
        members=lambda run: [*range(run * ensemble, (run + 1) * ensemble)],
        best=SimpleNamespace(epochs=torch.full((len(rows),), best_epoch), network=best.state_dict()),
        datamodule=SimpleNamespace(val=rows, val_dataloader=lambda: [batch]),
        trainer=SimpleNamespace(strategy=SimpleNamespace(batch_to_device=lambda each: each)),
        stopping=EarlyStopping([section] * len(rows)),
    )


def active(stack: Any) -> list[bool]:
    StageStopping().on_epoch(stack)
    return stack.module.members.active.tolist()


FIRST, SECOND = torch.arange(40), torch.arange(40, 80)


def test_a_run_that_a_stage_has_made_worse_stops_with_its_weights() -> None:
    stack = stack_of([FIRST, FIRST])
    stack.best.epochs[1] = 4  # in the stage that ends
    assert active(stack) == [False, True]
    assert stack.stopping.network["values"].flatten()[0] == 0.5


@pytest.mark.parametrize(
    "changes",
    [
        {"epoch": 8},  # within a stage
        {"epoch": 1, "best_epoch": 0},  # the first stage
        {"epoch": EPOCHS, "best_epoch": 3},  # the last one
        {"best_epoch": 4},  # its best epoch is in the stage
        {"now": -0.5},  # it has become better
        {"patience": 20},
        {"patience": None},
    ],
    ids=str,
)
def test_all_other_runs_go_on(changes: dict[str, Any]) -> None:
    assert active(stack_of([FIRST], **changes)) == [True]


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


def test_few_rows_or_chance_decide_nothing_and_a_row_of_several_members_counts_once() -> None:
    assert active(stack_of([FIRST[:29]])) == [True]
    assert active(stack_of([FIRST[:30]])) == [False]
    assert active(stack_of([FIRST[:20], FIRST[:20]], ensemble=2)) == [True, True]
    assert active(stack_of([FIRST[:20], SECOND[:20]], ensemble=2)) == [False, False]
    weight = (torch.arange(40) < 29).double().view(1, -1, 1)
    assert active(stack_of([FIRST], weight=weight)) == [True]
    stack = stack_of([FIRST[:20], SECOND[:20]], ensemble=2)
    stack.module.members.active[0] = False  # whose rows do not count
    assert active(stack) == [False, True]
    for worse, stops in ((24, False), (32, True)):  # of 40 rows that are better or worse by ½
        stack = stack_of([FIRST])
        [batch] = stack.datamodule.val_dataloader()
        batch.y[:, worse:] = 1
        assert active(stack) == [not stops]


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
