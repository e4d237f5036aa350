"""Updates of weights by their gradients: torch's fused kernels, and clipping by member."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from mlplab import config
from mlplab.training.optimization.schedules import StepValues
from mlplab.training.private_interfaces import fused_adam, fused_adamw, fused_sgd

Settings = config.ResolvedOptimizer

Rows = Mapping[str, list[Tensor]]
"""The rows of some members, or some columns of them, by name."""

Factors = tuple[float, float]
"""The factor of the learning rate, and that of the weight decay."""

Update = Callable[[StepValues], None]  # updates rows in a step


def update_of(settings: Settings, example: int, factors: Factors, rows: Rows) -> Update:
    """The update of the rows of members with the same settings and rates, of which `example` is one."""
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
