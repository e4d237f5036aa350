"""SGD, Adam and AdamW with settings that differ from member to member.

The updates are torch's fused kernels, which take one learning rate and any number of tensors per call. So all
weights of a member form one row of a matrix `[member, weight]`, and the network's parameters are views of it.
Members with the same settings are updated by one call, or, if groups of parameters have factors, by one for
each factor. The arithmetic is the same alone and in a stack.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import accumulate, chain, groupby, pairwise
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from mlplab import config
from mlplab.models.backpropagation import VECTOR_SIZE
from mlplab.models.network import parameter_kinds
from mlplab.training.optimization.schedules import StepFactors, StepValues, step_values
from mlplab.training.private_interfaces import fused_adam, fused_adamw, fused_sgd, unhooked

Settings = config.ResolvedOptimizer

Rows = Mapping[str, list[Tensor]]  # of some members, or some columns of them, by name

Factors = tuple[float, float]  # of the learning rate, and of the weight decay

Update = Callable[[StepValues], None]  # updates rows in a step


class MemberOptimizer(torch.optim.Optimizer):
    """Steps all members at once, each with its own settings.

    It replaces the parameters' storage: they become views of `matrices["weights"]`, and their gradients views
    of `matrices["gradients"]`, to which torch's backward passes add.

    With `weight_averaging`, it also keeps an average of each member's weights over the steps, in which later
    steps count more (polynomial-decay averaging, Shamir & Zhang 2013, section 4, with η =
    `AVERAGE_EXPONENT` in `schedules.py`). Within `averaged`, the parameters are views of this average.

    Args:
        network: its parameters are of shape `[member, row, column]`.
        settings: all of SGD or all of Adam and AdamW.
        parts: slices of the members, which are updated one after another.

    Attributes:
        matrices: `[member, weight]` by name: `weights`, `gradients`, the moments in `state_names`, and
            `average` with `weight_averaging`.
        groups: what updates each part, by the members with the same settings and rates, and by the parameters
            with the same factors; a new list where other members belong together than before.
    """

    def __init__(
        self, network: nn.Module, settings: Sequence[Settings], parts: Sequence[slice] = (slice(None),)
    ) -> None:
        super().__init__(network.parameters(), {})
        self.parameters: list[nn.Parameter] = self.param_groups[0]["params"]
        self.settings = list(settings)
        self.state_names = ["momentum"] if isinstance(settings[0], config.Sgd) else ["mean", "square"]
        self.steps = 0
        self.has_average = settings[0].weight_averaging
        self._shows_average = False
        names = ["weights", "gradients", *self.state_names, *(["average"] if self.has_average else [])]
        widths = padded_widths(self.parameters)
        self.matrices = {name: self.parameters[0].new_zeros(len(settings), sum(widths)) for name in names}
        self._columns = [*zip(parameter_kinds(network), pairwise(accumulate(widths, initial=0)), strict=True)]
        self._views = {name: unpacked(rows.detach(), self.parameters) for name, rows in self.matrices.items()}
        for parameter, weights in zip(self.parameters, self._views["weights"], strict=True):
            parameter.data = weights.copy_(parameter.detach())
        if self.has_average:
            self.matrices["average"].copy_(self.matrices["weights"])
        self.zero_grad()
        self._kinds = [each.model_dump_json(exclude={"lr"}) for each in settings]
        self._base_lr = torch.tensor([each.lr for each in settings], dtype=torch.float64)
        self._factors: StepFactors = self._base_lr.new_empty(1, 0, len(settings))  # with lr itself
        self.parts = list(parts)
        self._together: list[list[list[int]]] = []
        self.groups: list[list[Update]] = []
        self._step_values: list[StepValues] = []
        self._next = 0

    def set_factors(self, factors: StepFactors | None, done: int = 0) -> None:
        """Sets the factors of an epoch's steps, of which `done` have been made; None: they stay the same."""
        self._next = done
        if factors is not None:
            self._factors = torch.cat([self._base_lr * factors[:1], factors[1:]])
            self._show_lr()
            together, rates = [], [each.numpy().tobytes() for each in self._factors.unbind(2)]
            for part in self.parts:
                by_rates = defaultdict[tuple[str, bytes], list[int]](list)
                for member in range(len(self.settings))[part]:
                    by_rates[self._kinds[member], rates[member]].append(member)
                together.append([*by_rates.values()])
            if together != self._together:
                self._together = together
                self.groups = [[*chain.from_iterable(map(self._groups_of, part))] for part in together]
        self._step_values = step_values(self._factors, self.steps - done, self.matrices["weights"].device)

    def _groups_of(self, members: Sequence[int]) -> Iterator[Update]:
        """The groups of members with the same settings: one for each pair of factors of their parameters."""
        settings, ranges = self.settings[members[0]], defaultdict[Factors, list[slice]](list)
        for factors, adjacent in groupby(self._columns, lambda each: parameter_factors(settings, each[0])):
            bounds = [bound for _, columns in adjacent for bound in columns]
            ranges[factors].append(slice(bounds[0], bounds[-1]))
        for factors, columns in ranges.items():
            rows = {
                name: [values[member, each] for member in members for each in columns]
                for name, values in self.matrices.items()
            }
            yield update_of(settings, members[0], factors, rows)

    @property
    def lr(self) -> Float64[Tensor, " member"]:
        """Learning rates of the last step."""
        return self._factors[0, self._next - 1]

    @unhooked
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates all parameters; returns the value of `closure`. Hooks for steps are not called."""
        with torch.enable_grad():
            result = closure() if closure is not None else None
        with torch.no_grad():
            for parameter, gradient in zip(self.parameters, self._views["gradients"], strict=True):
                if parameter.grad is not gradient:  # replaced by a custom callback
                    gradient.zero_() if parameter.grad is None else gradient.copy_(parameter.grad)
            for part in range(len(self.parts)):
                self.update(part, self.step_values())
            self.advance(1)
            self._show_lr()
        return result

    def _show_lr(self) -> None:
        """Shows the mean learning rate of the next step, in the epoch, where callbacks look for it."""
        if self._next < self._factors.shape[1]:
            self.param_groups[0]["lr"] = self._factors[0, self._next].mean().item()

    def step_values(self, ahead: int = 0) -> StepValues:
        """The values of a step: the next one, or one that comes `ahead` steps later."""
        return self._step_values[self._next + ahead]

    def update(self, part: int, values: StepValues) -> None:
        """Updates a part of the members by the gradients in `matrices`, in a step with these values.

        `advance` must follow.
        """
        for update in self.groups[part]:
            update(values)
        if self.has_average:
            members = self.parts[part]
            self.matrices["average"][members].lerp_(self.matrices["weights"][members], values.average_share)

    def advance(self, steps: int) -> None:
        """Counts steps in which all parts have been updated."""
        self.steps += steps
        self._next += steps

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Sets the gradients to zero; torch's own method takes longer than an update of a small network."""
        self.matrices["gradients"].zero_()
        for parameter, gradient in zip(self.parameters, self._views["gradients"], strict=True):
            if parameter.grad is not gradient:
                parameter.grad = gradient

    def show_average(self, *, shown: bool) -> None:
        """Makes the parameters the average of the weights, or the weights of the last step again."""
        if self.has_average and shown != self._shows_average:
            self._shows_average = shown
            views = self._views["average" if shown else "weights"]
            for parameter, view in zip(self.parameters, views, strict=True):
                parameter.data = view

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Within this context, the parameters are the average of the weights, if there is one."""
        before = self._shows_average
        self.show_average(shown=True)
        try:
            yield
        finally:
            self.show_average(shown=before)

    def member_state(self) -> dict[str, Tensor]:
        """State to resume from, besides what the parameters are within `averaged`; with a member axis."""
        names = [*self.state_names, "weights"] if self.has_average else self.state_names
        return {name: self.matrices[name].clone() for name in names}

    def load_member_state(self, state: Mapping[str, Tensor], steps: int) -> None:
        """Restores a `member_state` taken after that many steps.

        The parameters must be what they were within `averaged` then.
        """
        self.steps = steps
        if self.has_average:
            self.matrices["average"].copy_(self.matrices["weights"])
        for name, values in state.items():
            self.matrices[name].copy_(values)


def padded_widths(parameters: Sequence[Tensor]) -> list[int]:
    """The number of columns of each parameter in `MemberOptimizer.matrices`.

    Each parameter of each member starts at a multiple of `VECTOR_SIZE`. How a matrix product rounds depends
    on the alignment of its matrices, and the last values of a vector may be rounded differently, but a
    member's must not depend on its position in a stack.
    """
    sizes = [parameter[0].numel() for parameter in parameters]
    return [size + -size % VECTOR_SIZE for size in sizes]


def unpacked(rows: Float[Tensor, "member *step weight"], parameters: Sequence[Tensor]) -> list[Tensor]:
    """What belongs to each parameter, as a view `[member, *step, row, column]` of the rows."""
    columns = zip(torch.split(rows, padded_widths(parameters), -1), parameters, strict=True)
    return [part[..., : each[0].numel()].view(*part.shape[:-1], *each.shape[1:]) for part, each in columns]


def parameter_factors(settings: Settings, kind: tuple[str, int]) -> Factors:
    """The factors of a parameter's learning rate and weight decay.

    With `lr_by_fan_in`, W = V/√n, and V is updated as usual (see `config.Adam`). Adam adds weight_decay × V
    to the gradient of V, which is that of W over √n. AdamW takes off a share lr × weight_decay of V and of W.
    """
    group, fan_in = kind
    root = fan_in**0.5
    lr, decay = getattr(settings.lr_factors, group, 1.0), getattr(settings.weight_decay_factors, group, 1.0)
    if isinstance(settings, config.Adam) and settings.lr_by_fan_in and group == "weights":
        lr, decay = lr / root, decay * (root if settings.name == "adamw" else fan_in)
    return lr, decay


def update_of(settings: Settings, example: int, factors: Factors, rows: Rows) -> Update:
    """The update of the rows of members with the same settings and rates, of which `example` is one."""
    assert not isinstance(settings.weight_decay, list)  # it is that of a member
    kernel, lr_factor, weight_decay = _kernel(settings, rows), factors[0], settings.weight_decay * factors[1]
    numbered = 0 if isinstance(settings, config.Sgd) else len(rows["weights"])

    def update(values: StepValues) -> None:
        numbers = ([values.number] * numbered,) if numbered else ()
        lr, decay = values.lr[example] * lr_factor, weight_decay
        if values.regularization is not None and decay:
            decay *= values.regularization[example]
        kernel(*numbers, lr=lr, weight_decay=decay)

    return update


def _kernel(settings: Settings, rows: Rows) -> Callable[..., None]:
    """The kernel of an optimizer, as in `torch.optim`; Adam's takes the number of the step for each tensor.

    They are SGD, with momentum or Nesterov momentum (Sutskever et al. 2013); Adam (Kingma & Ba 2015,
    algorithm 1), which adds weight_decay × weight to the gradient; and AdamW (Loshchilov & Hutter 2019,
    algorithm 2), which decays the weights themselves by lr × weight_decay.
    """
    given = rows["weights"], rows["gradients"]
    if isinstance(settings, config.Sgd):
        # At the first step, the momentum is 0, which gives the same.
        fixed = {"dampening": 0.0, "maximize": False, "is_first_step": False}
        options = {"momentum": settings.momentum, "nesterov": settings.nesterov, **fixed}
        return partial(fused_sgd, *given, rows["momentum"] if settings.momentum else [], **options)
    (beta1, beta2), fixed = settings.betas, {"amsgrad": False, "maximize": False}
    kernel = fused_adamw if settings.name == "adamw" else fused_adam
    moments = rows["mean"], rows["square"], list[Tensor]()
    return partial(kernel, *given, *moments, beta1=beta1, beta2=beta2, eps=settings.eps, **fixed)


def clip_by_member(gradients: Sequence[Float[Tensor, "member _ _"]], max_norm: float) -> None:
    """Clips, in place, the norm of each member's gradient over all parameters to `max_norm`."""
    norm = torch.stack([gradient.square().sum((1, 2)) for gradient in gradients], 1).sum(1).sqrt()
    scale = (max_norm / norm.clamp(min=torch.finfo(norm.dtype).tiny)).clamp(max=1).reshape(-1, 1, 1)
    for gradient in gradients:
        gradient.mul_(scale)
