"""Updates of weights by their gradients: torch's fused kernels, and clipping by member."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mlplab import config
from mlplab.training.private_interfaces import fused_adam, fused_adamw, fused_sgd

Settings = config.ResolvedOptimizer

Rows = Mapping[str, list[Tensor]]
"""The rows of some members, or some columns of them, by name."""


def decay_by_tensor(settings: Any, lr: Any, decay: Any, rows: Rows) -> float:
    """Returns the weight decay that is left to the kernels, given that of a step.

    They take a number, which a CUDA graph would repeat at each step. So a tensor is applied here.
    """
    if not isinstance(decay, Tensor):
        return float(decay)
    for weights, gradient in zip(rows["weights"], rows["gradients"], strict=True):
        if settings.name == "adamw":
            weights.mul_(1 - lr * decay)
        else:
            gradient.add_(weights * decay)
    return 0.0


def sgd(settings: Any, lr: Any, weight_decay: float, rows: Rows) -> None:
    """Momentum or Nesterov momentum (Sutskever et al. 2013), as `torch.optim.SGD`."""
    fused_sgd(
        rows["weights"],
        rows["gradients"],
        rows["momentum"] if settings.momentum else [],
        weight_decay=weight_decay,
        momentum=settings.momentum,
        lr=lr,
        dampening=0.0,
        nesterov=settings.nesterov,
        maximize=False,
        is_first_step=False,  # the momentum is 0 then, which gives the same
    )


def adam(settings: Any, lr: Any, weight_decay: float, number: int | Tensor, rows: Rows) -> None:
    """Adam (Kingma & Ba 2015, algorithm 1) or AdamW (Loshchilov & Hutter 2019, algorithm 2).

    AdamW decays the weights themselves by lr × weight_decay; Adam adds weight_decay × weight to the gradient.
    """
    weights = rows["weights"]
    step = number if isinstance(number, Tensor) else torch.full((), number, dtype=torch.float32)
    (fused_adamw if settings.name == "adamw" else fused_adam)(
        weights,
        rows["gradients"],
        rows["mean"],
        rows["square"],
        [],
        [step] * len(weights),
        lr=lr,
        beta1=settings.betas[0],
        beta2=settings.betas[1],
        weight_decay=weight_decay,
        eps=settings.eps,
        amsgrad=False,
        maximize=False,
    )


def clip_by_member(gradients: Sequence[Float[Tensor, "member _ _"]], max_norm: float) -> None:
    """Clips, in place, the norm of each member's gradient over all parameters to `max_norm`."""
    norm = torch.stack([gradient.square().sum((1, 2)) for gradient in gradients], 1).sum(1).sqrt()
    scale = (max_norm / norm.clamp(min=torch.finfo(norm.dtype).tiny)).clamp(max=1).reshape(-1, 1, 1)
    for gradient in gradients:
        gradient.mul_(scale)
