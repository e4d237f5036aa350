"""The resume state of a stack: captured from one, reduced to some of its members, restored in another."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from itertools import chain
from typing import Any

import torch
from jaxtyping import Bool, Int64
from lightning.pytorch import Trainer
from torch import Tensor

from mlplab.models import Dropout
from mlplab.training.best_weights import BestState, BestWeights
from mlplab.training.callbacks import EarlyStopping, StoppingState, Tensors
from mlplab.training.module import Position, StackModule
from mlplab.training.pruning import Pruning
from mlplab.training.trainer import set_counters

Reasons = tuple[str | None, ...]

NUMBERS = ("epoch", "batch", "step", "seconds")
"""The numbers in a state, which are those of all members."""


@dataclass(frozen=True)
class StackState:
    """The state of a stack between two steps. All tensors have a leading member axis.

    Args:
        epoch: completed epochs, validation included.
        batch: completed steps of the next epoch.
        step: completed optimizer steps in total.
        seconds: training time.
        diverged: why each member has diverged; None if it has not.
        pruned: why each member has been pruned; None if it has not.
        epochs: the number of epochs that each member has trained.
        active: which members have not stopped.
        network: its tensors; averaged weights, if there are any.
        losses: of the steps of the next epoch.
        rungs: the values at rungs, by the rung's number.
    """

    epoch: int
    batch: int
    step: int
    seconds: float
    diverged: Reasons
    pruned: Reasons
    epochs: Int64[Tensor, " member"]
    active: Bool[Tensor, " member"]
    network: Tensors
    optimizer: Tensors
    schedules: Tensors
    dropout: Tensors
    losses: Tensors
    rungs: Tensors
    best: BestState
    stopping: StoppingState

    def select(self, members: Sequence[int]) -> "StackState":
        """The state of a stack of these members."""
        chosen = list(members)

        def selected(part: Tensor | Reasons) -> Tensor | Reasons:
            return part[chosen] if isinstance(part, Tensor) else tuple(part[member] for member in chosen)

        state: StackState = _mapped(selected, self)
        return state

    @classmethod
    def join(cls, states: Sequence["StackState"]) -> "StackState":
        """The state of a stack of all their members; their `join_key` must be equal."""

        def joined(*parts: Any) -> Tensor | Reasons:
            return torch.cat(parts) if isinstance(parts[0], Tensor) else tuple(chain(*parts))

        state: StackState = _mapped(joined, *states)
        return state

    @property
    def join_key(self) -> Hashable:
        """What states must have in common to be joined: epoch, step and the names of their tensors."""
        return self.epoch, self.batch, self.step, tuple(name for name, _ in _leaves(self.plain()))

    def plain(self) -> dict[str, Any]:
        """As plain data and tensors on the CPU."""
        plain: dict[str, Any] = _plain(self)
        return plain

    @classmethod
    def from_plain(cls, content: Mapping[str, Any]) -> "StackState":
        """The state from the result of `plain`.

        Raises:
            KeyError, TypeError: if it is anything else.
        """
        reasons = {name: tuple(content[name]) for name in ("diverged", "pruned")}
        callbacks = {"best": BestState(**content["best"]), "stopping": StoppingState(**content["stopping"])}
        state = cls(**{**content, **reasons, **callbacks})
        if {len(part) for _, part in _leaves(state.plain())} != {len(state.diverged)}:
            raise TypeError("tensors that lack some of the members")
        return state


def _mapped(function: Callable[..., Any], *parts: Any) -> Any:
    """A function of the corresponding tensors and reasons of states; numbers are equal in all of them."""
    first = parts[0]
    if isinstance(first, Tensor | tuple):
        return function(*parts)
    if isinstance(first, Mapping):
        return {name: _mapped(function, *(part[name] for part in parts)) for name in first}
    if is_dataclass(first) and not isinstance(first, type):
        return type(first)(**_mapped(function, *map(vars, parts)))
    return first


def _plain(part: Any) -> Any:
    if isinstance(part, Tensor):
        return part.detach().cpu()
    if isinstance(part, Mapping):
        return {name: _plain(inner) for name, inner in part.items()}
    if is_dataclass(part):
        return _plain(vars(part))
    return list(part) if isinstance(part, tuple) else part


def _leaves(plain: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The tensors and reasons of a plain state, by the path of their names."""
    for name, part in plain.items():
        if isinstance(part, Mapping):
            yield from _leaves(part, f"{prefix}{name}/")
        elif isinstance(part, Tensor | list):
            yield prefix + name, part
        elif prefix + name not in NUMBERS:
            raise TypeError(f"{prefix}{name} is no tensor")


def capture(
    trainer: Trainer,
    module: StackModule,
    best: BestWeights,
    stopping: EarlyStopping,
    pruning: Pruning,
    seconds: float,
) -> StackState:
    """A copy of the current state of training, which has taken that many seconds."""
    members, position, device = len(module.configs), module.position, trainer.strategy.root_device
    with module.optimizer.averaged():
        state = StackState(
            epoch=position.epoch,
            batch=position.batch,
            step=trainer.global_step,
            seconds=seconds,
            diverged=tuple(map(module.diverged.get, range(members))),
            pruned=tuple(map(pruning.reasons.get, range(members))),
            epochs=module.epochs,
            active=module.active,
            network=module.network.state_dict(),
            optimizer=module.optimizer.member_state(),
            schedules=module.schedules.state,
            dropout={
                name: torch.stack([generator.get_state() for generator in layer.generators(device)])
                for name, layer in _dropouts(module)
            },
            losses=module.train_losses.state(),
            rungs=pruning.values,
            best=best.state,
            stopping=stopping.state,
        )
        copied: StackState = _mapped(
            lambda part: part.detach().clone() if isinstance(part, Tensor) else part, state
        )
    return copied


def restore(
    state: StackState,
    trainer: Trainer,
    module: StackModule,
    best: BestWeights,
    stopping: EarlyStopping,
    pruning: Pruning,
) -> None:
    """Restores a state in a new stack and its Trainer, before training, and takes over its tensors.

    The datamodule's `position` must be set to the state's `batch`.

    Raises:
        RuntimeError, LookupError, TypeError, ValueError: if the state is not one of this stack.
    """
    device = trainer.strategy.root_device

    def on_device(tensors: Tensors) -> Tensors:
        return {name: tensor.to(device) for name, tensor in tensors.items()}

    module.network.load_state_dict(dict(state.network))
    module.resume_from = (state.optimizer, state.step)
    module.schedules.load_state(state.schedules)
    for name, layer in _dropouts(module):
        for source, saved in zip(layer.generators(device), state.dropout[name], strict=True):
            source.set_state(saved.clone())  # can crash with a view into a larger tensor
    module.train_losses.load_state(on_device(state.losses))
    module.epochs, module.active = state.epochs, state.active
    module.diverged = {member: reason for member, reason in enumerate(state.diverged) if reason}
    module.position = Position(state.epoch, state.batch)
    best.state = replace(
        state.best, network=on_device(state.best.network), values=on_device(state.best.values)
    )
    stopping.state = replace(state.stopping, network=on_device(state.stopping.network))
    pruning.values = state.rungs
    pruning.reasons = {member: reason for member, reason in enumerate(state.pruned) if reason}
    set_counters(trainer, epoch=state.epoch, batch=state.batch, step=state.step)


def _dropouts(module: StackModule) -> Iterator[tuple[str, Dropout]]:
    return ((name, layer) for name, layer in module.network.named_modules() if isinstance(layer, Dropout))
