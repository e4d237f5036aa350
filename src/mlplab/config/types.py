"""What the sections of the configuration are made of: ranges, names, allowed targets."""

import re
from functools import partial
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from mlplab.targets import check_target


def check_name(name: str) -> str:
    """The name itself, if it can only be a folder below another.

    Raises:
        ValueError: otherwise.
    """
    parts = name.split("/")
    if re.search(r"[\x00-\x1f\\:$]", name) or name.startswith("~") or {"", ".", ".."} & set(parts):
        raise ValueError(
            "a run's name is a folder below outputs/: no absolute path, no '..', no backslash, no colon, no $"
        )
    return name


TrainerTarget = Annotated[str, AfterValidator(partial(check_target, pattern=r"lightning\.pytorch\.Trainer"))]
CallbackTarget = Annotated[
    str, AfterValidator(partial(check_target, pattern=r"lightning\.pytorch\.callbacks\.[A-Z]\w*"))
]
LoggerTarget = Annotated[
    str, AfterValidator(partial(check_target, pattern=r"lightning\.pytorch\.loggers\.[A-Z]\w*"))
]
OwnTarget = Annotated[str, AfterValidator(partial(check_target, pattern=""))]


def _as_text(value: object) -> object:
    """A number as it was typed: a column or a run may be called 2024."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Seed = Annotated[int, Field(ge=0, lt=2**63)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1, lt=2**31)]
Text = Annotated[str, BeforeValidator(_as_text), Field(min_length=1)]
RunName = Annotated[str, BeforeValidator(_as_text), Field(min_length=1), AfterValidator(check_name)]


class Section(BaseModel):
    """A part of the configuration; unknown keys and guessed conversions are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, serialize_by_alias=True)
