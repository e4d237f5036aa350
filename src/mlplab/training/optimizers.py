"""SGD, Adam and AdamW with settings that differ from member to member.

The updates are torch's own fused kernels, which take one learning rate a call and any number of tensors. So
all weights of a member lie in one row of a matrix `[member, weight]`, of which the network's parameters are
views, and members with the same settings are updated by one call: the same arithmetic alone and in a stack.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from mlplab import config

Rows = Float[Tensor, "member weight"]


ALIGNED = 16
"""Weights; at a multiple of so many each parameter of each member begins. A product of matrices rounds
otherwise where one begins elsewhere, and a member's must not depend on its place in a stack."""


class _Group(NamedTuple):
    """Members that take the same steps: their settings, learning rates of an epoch, and rows by name."""

    settings: config.Adam | config.Sgd
    lr: tuple[float, ...]
    rows: dict[str, list[Tensor]]


class MemberOptimizer(torch.optim.Optimizer):
    """One step for all members, each with its own settings.

    Takes the parameters' storage over: from then on they are views of `rows["weights"]`. A parameter without
    a gradient is taken to have one of zeros.

    Args:
        parameters: of shape `[member, row, column]`.
        settings: of each member.

    Attributes:
        rows: what is kept of each weight, by name; `weights`, `gradients`, and what the update remembers.
        steps: how many were made.
    """

    remembered: tuple[str, ...]

    def __init__(
        self, parameters: Iterable[nn.Parameter], settings: Sequence[config.Adam] | Sequence[config.Sgd]
    ) -> None:
        super().__init__(parameters, {})
        self.parameters: list[nn.Parameter] = self.param_groups[0]["params"]
        self.settings: list[config.Adam | config.Sgd] = list(settings)
        self.steps = 0
        sizes = [parameter[0].numel() for parameter in self.parameters]
        self._gaps = [self.parameters[0].new_zeros(len(settings), -size % ALIGNED) for size in sizes]
        weights = self._in_rows([parameter.detach() for parameter in self.parameters])
        self.rows = {"weights": weights} | {
            name: torch.zeros_like(weights) for name in ("gradients", *self.remembered)
        }
        widths = [width for size in sizes for width in (size, -size % ALIGNED)]
        for parameter, part in zip(self.parameters, torch.split(weights, widths, 1)[::2], strict=True):
            parameter.data = part.view(parameter.shape)
        self._lr: Float64[Tensor, "step member"] = torch.empty(0, len(self.settings), dtype=torch.float64)
        self._groups: list[_Group] = []
        self._at = 0

    def plan(self, factors: Float64[Tensor, "step member"], done: int = 0) -> None:
        """Sets the learning rates of an epoch's steps, of which some are done: each member's own times its
        factors."""
        base = torch.tensor([each.lr for each in self.settings], dtype=torch.float64)
        self._lr, self._at = base * factors, done
        alike: dict[Any, list[int]] = {}
        for member, (settings, lr) in enumerate(zip(self.settings, self._lr.T.tolist(), strict=True)):
            same = settings.model_copy(update={"lr": 0.0}).model_dump_json()
            alike.setdefault((same, tuple(lr)), []).append(member)
        rows = {name: values.unbind() for name, values in self.rows.items()}
        self._groups = [
            _Group(
                self.settings[members[0]],
                lr,
                {name: [values[member] for member in members] for name, values in rows.items()},
            )
            for (_, lr), members in alike.items()
        ]

    @property
    def lr(self) -> Float64[Tensor, " member"]:
        """The learning rates of the last step."""
        return self._lr[self._at - 1]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of every parameter; gives what `closure` gives."""
        with torch.enable_grad():
            result = closure() if closure is not None else None
        with torch.no_grad():
            gradients = [
                torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                for parameter in self.parameters
            ]
            self._in_rows(gradients, out=self.rows["gradients"])
            self.steps += 1
            for group in self._groups:
                self._update(group.settings, group.lr[self._at], group.rows)
            self._at += 1
        return result

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients; torch's own takes longer to get there than an update of a small network."""
        for parameter in self.parameters:
            parameter.grad = None

    def member_state(self) -> dict[str, Tensor]:
        """What must be kept beside the weights to go on, with a leading member axis."""
        return {name: self.rows[name].clone() for name in self.remembered}

    def load_member_state(self, state: Mapping[str, Tensor], steps: int) -> None:
        """Goes on from what `member_state` gave after so many steps."""
        self.steps = steps
        for name in self.remembered:
            self.rows[name].copy_(state[name])

    def _in_rows(self, tensors: Sequence[Tensor], out: Rows | None = None) -> Rows:
        parts = [
            part for tensor, gap in zip(tensors, self._gaps, strict=True) for part in (tensor.flatten(1), gap)
        ]
        return torch.cat(parts, 1, out=out)

    @abstractmethod
    def _update(self, settings: Any, lr: float, rows: Mapping[str, list[Tensor]]) -> None: ...


class SGD(MemberOptimizer):
    """Gradient descent with momentum, as `torch.optim.SGD`; Nesterov's looks ahead along it (Sutskever et al.
    2013)."""

    remembered = ("momentum",)

    def _update(self, settings: config.Sgd, lr: float, rows: Mapping[str, list[Tensor]]) -> None:
        torch._fused_sgd_(
            rows["weights"],
            rows["gradients"],
            rows["momentum"] if settings.momentum else [],
            weight_decay=settings.weight_decay,
            momentum=settings.momentum,
            lr=lr,
            dampening=0.0,
            nesterov=settings.nesterov,
            maximize=False,
            is_first_step=self.steps == 1,
        )


class Adam(MemberOptimizer):
    """Adam (Kingma & Ba 2015, algorithm 1), or AdamW (Loshchilov & Hutter 2019, algorithm 2), which decays
    the weights themselves by lr × weight_decay instead of adding weight_decay × weight to the gradient."""

    remembered = ("mean", "square")

    def _update(self, settings: config.Adam, lr: float, rows: Mapping[str, list[Tensor]]) -> None:
        decoupled = settings.name == "adamw"
        update = torch._fused_adamw_ if decoupled else torch._fused_adam_
        weights = rows["weights"]
        steps = torch.tensor(float(self.steps), device=weights[0].device)
        update(
            weights,
            rows["gradients"],
            rows["mean"],
            rows["square"],
            [],
            [steps] * len(weights),
            lr=lr,
            beta1=settings.betas[0],
            beta2=settings.betas[1],
            weight_decay=settings.weight_decay,
            eps=settings.eps,
            amsgrad=False,
            maximize=False,
        )


def build_optimizer(
    parameters: Iterable[nn.Parameter], settings: Sequence[config.Adam | config.Sgd]
) -> MemberOptimizer:
    """The optimizer of members whose optimizers are of one kind."""
    if isinstance(settings[0], config.Sgd):
        return SGD(parameters, [each for each in settings if isinstance(each, config.Sgd)])
    return Adam(parameters, [each for each in settings if isinstance(each, config.Adam)])
