"""The Trainer."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from mlplab.config.types import Count, OrAuto, Positive, Section, TrainerClass


def _gpu_is_cuda(value: object) -> object:
    """`gpu`, Lightning's name, means `cuda`."""
    return "cuda" if value == "gpu" else value


class Trainer(Section):
    """Arguments of the Trainer. If `log_every_n_steps` is null, values are logged only once per epoch."""

    class_path: TrainerClass = Field(alias="_target_")
    max_epochs: OrAuto[Count]
    accelerator: Annotated[Literal["auto", "cpu", "cuda"], BeforeValidator(_gpu_is_cuda)]
    devices: Annotated[int, Field(ge=1, le=1024)]
    precision: Literal[32, 64]
    gradient_clip_val: Positive | None
    fast_dev_run: bool
    log_every_n_steps: Count | None
