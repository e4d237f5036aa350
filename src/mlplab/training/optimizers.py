"""SGD, Adam and AdamW with settings that differ from member to member.

As torch's, value by value; torch's own refuse a learning rate that is a tensor of several values. Every
parameter has a leading member axis and three dimensions; every setting is `[member, 1, 1]` and float64.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from mlplab import config

Setting = Float64[Tensor, "member 1 1"]
Values = Float[Tensor, "member row column"]


class MemberOptimizer(torch.optim.Optimizer):
    """One step for all members, each with its own settings.

    Attributes:
        base_lr: the learning rates before a schedule's factor.
    """

    base_lr: Setting

    def __init__(self, parameters: Iterable[nn.Parameter], **settings: Setting) -> None:
        self.base_lr = settings["lr"]
        super().__init__(parameters, {**settings, "steps": 0})
        self.decays = bool(settings["weight_decay"].any())

    def scale_lr(self, factor: Float[Tensor, " member"]) -> None:
        """Sets each member's learning rate to its base times `factor`."""
        self.param_groups[0]["lr"] = self.base_lr * factor.reshape(-1, 1, 1)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of every parameter that has a gradient; gives what `closure` gives."""
        with torch.enable_grad():
            result = closure() if closure is not None else None
        with torch.no_grad():
            group = self.param_groups[0]
            group["steps"] += 1
            self._update([parameter for parameter in group["params"] if parameter.grad is not None], group)
        return result

    @abstractmethod
    def _update(self, parameters: list[nn.Parameter], group: dict[str, Any]) -> None: ...


class SGD(MemberOptimizer):
    """Gradient descent with momentum, as `torch.optim.SGD`.

    Args:
        nesterov: looks ahead along the momentum (Sutskever et al. 2013).
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: Setting,
        momentum: Setting,
        weight_decay: Setting,
        *,
        nesterov: bool = False,
    ) -> None:
        super().__init__(parameters, lr=lr, momentum=momentum, weight_decay=weight_decay)
        self.nesterov = nesterov
        self.has_momentum = bool(momentum.any())

    def _update(self, parameters: list[nn.Parameter], group: dict[str, Any]) -> None:
        dtype = parameters[0].dtype
        lr, momentum, decay = (group[name].to(dtype) for name in ("lr", "momentum", "weight_decay"))
        for parameter in parameters:
            gradient = _gradient(parameter)
            if self.decays:
                gradient = gradient + decay * parameter
            if self.has_momentum:
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                state["momentum"].mul_(momentum).add_(gradient)
                gradient = gradient + momentum * state["momentum"] if self.nesterov else state["momentum"]
            parameter.sub_(lr * gradient)


class Adam(MemberOptimizer):
    """Adam (Kingma & Ba 2015, algorithm 1), or AdamW (Loshchilov & Hutter 2019, algorithm 2).

    Args:
        decoupled: decay the weights themselves, by lr × weight_decay, as AdamW does; otherwise
            weight_decay × weight is added to the gradient.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: Setting,
        beta1: Setting,
        beta2: Setting,
        eps: Setting,
        weight_decay: Setting,
        *,
        decoupled: bool = False,
    ) -> None:
        super().__init__(parameters, lr=lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay)
        self.decoupled = decoupled

    def _update(self, parameters: list[nn.Parameter], group: dict[str, Any]) -> None:
        steps, dtype = group["steps"], parameters[0].dtype
        eps, beta2 = group["eps"].to(dtype), group["beta2"].to(dtype)
        first, second = (1 - group["beta1"]).to(dtype), (1 - group["beta2"]).to(dtype)
        step_size = (group["lr"] / (1 - group["beta1"] ** steps)).to(dtype)
        correction = (1 - group["beta2"] ** steps).sqrt().to(dtype)
        decay, kept = group["weight_decay"].to(dtype), (1 - group["lr"] * group["weight_decay"]).to(dtype)
        for parameter in parameters:
            gradient = _gradient(parameter)
            state = self.state[parameter]
            if not state:
                state["mean"] = torch.zeros_like(parameter)
                state["square"] = torch.zeros_like(parameter)
            if self.decays and self.decoupled:
                parameter.mul_(kept)
            elif self.decays:
                gradient = gradient + decay * parameter
            state["mean"].lerp_(gradient, first)
            state["square"].mul_(beta2).addcmul_(gradient * second, gradient)
            scale = (state["square"].sqrt() / correction).add_(eps)
            parameter.sub_(step_size * (state["mean"] / scale))


def _gradient(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad


def build_optimizer(
    parameters: Iterable[nn.Parameter], optimizers: Sequence[config.Adam | config.Sgd]
) -> MemberOptimizer:
    """The optimizer of members whose optimizers have one name."""
    parameters = list(parameters)

    def setting(*values: float) -> Setting:
        return torch.tensor(values, dtype=torch.float64, device=parameters[0].device).reshape(-1, 1, 1)

    lr = setting(*(each.lr for each in optimizers))
    decay = setting(*(each.weight_decay for each in optimizers))
    if isinstance(first := optimizers[0], config.Sgd):
        momentum = setting(*(each.momentum for each in optimizers if isinstance(each, config.Sgd)))
        return SGD(parameters, lr, momentum, decay, nesterov=first.nesterov)
    adams = [each for each in optimizers if isinstance(each, config.Adam)]
    return Adam(
        parameters,
        lr,
        beta1=setting(*(each.betas[0] for each in adams)),
        beta2=setting(*(each.betas[1] for each in adams)),
        eps=setting(*(each.eps for each in adams)),
        weight_decay=decay,
        decoupled=first.name == "adamw",
    )
