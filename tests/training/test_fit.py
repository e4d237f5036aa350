from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from contracts import assert_close
from support import SMALL, resolved

from mlplab.data.cache import DataCache
from mlplab.runs.film.recorder import FilmFrames
from mlplab.runs.in_memory import RunInMemory
from mlplab.runs.planned_run import PlannedRun
from mlplab.runs.warm_start import WarmStart
from mlplab.training import mlp_module
from mlplab.training.callbacks.stopping import StopOnSignal
from mlplab.training.fit import Observer, StackTrainer, fit
from mlplab.training.outcome import Outcome
from mlplab.training.run import Run
from mlplab.training.stack_state import WrongStateError, capture

pytestmark = pytest.mark.usefixtures("full_speed")


class Outcomes(Observer):
    """What runs come to, and after how many steps the last epoch ended."""

    def __init__(self) -> None:
        self.outcomes: dict[Run, Outcome] = {}

    def ended(self, run: Run, outcome: Outcome) -> None:
        self.outcomes[run] = outcome

    def on_epoch(self, stack: StackTrainer) -> None:
        self.steps = stack.trainer.global_step


class Curious(Observer):
    def next_stop(self, step: int) -> int:
        return step + 1

    def on_step(self, stack: StackTrainer) -> None:
        self.seen: Any = stack.module.last_losses(), stack.trainer.global_step, stack.state()

    def on_epoch(self, stack: StackTrainer) -> None:
        self.seen = stack.state()


def trained(*overrides: str, observers: int, seeds: int = 1) -> list[Outcome]:
    """The outcomes of runs of a stack, watched by so many kinds of observers."""
    cache, kept = DataCache(), Outcomes()
    configs = [resolved(*SMALL, *overrides, f"seed={seed}", cache=cache) for seed in range(seeds)]
    plans = [PlannedRun(config, Path("run")) for config in configs]
    runs = [RunInMemory(WarmStart(plan, cache.data(plan.config))) for plan in plans]
    fit([each.run for each in runs], [kept, Curious(), FilmFrames(runs)][: 1 + observers])
    return [kept.outcomes[each.run] for each in runs]


@pytest.mark.parametrize("more", [["ensemble=2", "model.dropout=0.1"], ["trainer.block=1"]])
def test_observers_change_no_bits(more: list[str]) -> None:
    alone, other = (trained(*more, "callbacks.film=true", observers=count)[0] for count in (0, 2))
    assert other.metrics == alone.metrics
    for one, two in ((alone.best, other.best), (alone.last, other.last)):
        assert_close(two, one, 0)


@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.parametrize("block", ["auto", "5", "1"])
def test_a_diverging_run_does_not_finish_a_long_epoch(monkeypatch: pytest.MonkeyPatch, block: str) -> None:
    monkeypatch.setattr(mlp_module, "CHECK_EVERY_STEPS", 3)
    diverging = "optimizer=sgd", "optimizer.lr=1e20", "model/preprocessing=none", "data.batch_size=1"
    cache, kept = DataCache(), Outcomes()
    config = resolved(*SMALL, *diverging, f"trainer.block={block}", cache=cache)
    fit([run := Run(config, cache.data(config))], [kept])
    assert kept.outcomes[run].status == "diverged"
    assert kept.steps < len(run.data.split.train)


def test_each_run_has_its_outcome_when_it_ends() -> None:
    overrides = "optimizer.lr=0.5", "trainer.max_epochs=30", "callbacks.early_stopping.patience=2"
    outcomes = trained(*overrides, observers=0, seeds=5)
    assert len({outcome.metrics["epochs"] for outcome in outcomes}) > 1
    for outcome in outcomes:
        assert outcome.status == "done"
        assert {len(values) for values in outcome.history.values()} == {outcome.metrics["epochs"]}
        errors = outcome.history["val/mae"]
        assert errors.argmin() + 1 == outcome.metrics["best_epoch"]
        assert outcome.history["val/mae_best"][-1] == errors.min()


def test_a_state_restores_what_it_has_to_and_nothing_else() -> None:
    cache = DataCache()
    run = Run(config := resolved(*SMALL, cache=cache), cache.data(config))
    restored = partial(StackTrainer, [run], [], StopOnSignal())
    stack = restored()
    stack.module.trainer = stack.trainer
    stack.module.configure_optimizers()
    state = capture(stack)
    state.parts["stopping"]["patience"] = torch.zeros(1)
    assert torch.equal(restored(state).stopping.patience, stack.stopping.patience)
    needed = {"members": ["active", "epochs"], "best": ["epochs", "lowest", "not_diverged"]}
    for part, names in (needed | {"stopping": ["lowest", "waited"]}).items():
        for name in names:
            value = state.parts[part].pop(name)
            with pytest.raises(WrongStateError, match=name):
                restored(state)
            state.parts[part][name] = value
