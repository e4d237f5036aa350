"""Types that the sections of the configuration share: ranges, names, allowed classes."""

import re
from collections.abc import Iterable
from enum import Enum, auto
from functools import partial
from math import nan
from typing import Annotated, Literal, Never

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
)
from pydantic_core import PydanticCustomError
from typing_extensions import TypeVar

from mlplab.config.allowed_classes import check_allowed

# What a relative path must be to stay below a folder.
STAYS_BELOW = "no absolute path, no '..', no backslash, no colon, no $"


def check_name(name: str) -> str:
    """Returns the name if it is a relative path that cannot leave its parent folder.

    Raises:
        ValueError: otherwise.
    """
    if leads_out(name):
        raise ValueError(f"a run's name is a folder below outputs/: {STAYS_BELOW}")
    return name


def leads_out(path: str) -> bool:
    """Whether a relative path may leave its parent folder, or is none."""
    is_odd = re.search(r"[\x00-\x1f\\:$]", path) or path.startswith("~")
    return bool(is_odd or {"", ".", ".."} & set(path.split("/")))


def allowed(pattern: str) -> AfterValidator:
    """Validates the name of a class: it matches a pattern, or the user has allowed it."""
    return AfterValidator(partial(check_allowed, pattern=pattern))


def _as_text(value: object) -> object:  # a column or a run may be called 2024
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


class Mark(Enum):
    """What is true of a key, or of all keys of a section, beside its type; in the metadata of its field."""

    PER_MEMBER = auto()  # the members of a stack may differ in it
    COSMETIC = auto()  # it is no part of what is compared between runs: names, further scores and files
    MAY_CHANGE = auto()  # it may change when a run is resumed


# The value of keys that are chosen to suit the table, by `mlplab.data.defaults.resolve_auto`.
Auto = Literal["auto"]


def _refuse_auto(value: object) -> Never:
    raise PydanticCustomError("no_auto", "Input should be the value that auto stood for")


# Stands for `Auto` in the sections of a run whose table has been read: no key of those is `auto`.
#
# Each section with `Resolved` is named at the top level of its file, where pickle finds it.
Resolved = Annotated[Never, PlainValidator(_refuse_auto)]

T = TypeVar("T")

# Whether the keys of a section may be `auto`: `Auto` or `Resolved`.
A = TypeVar("A", bound=Auto, default=Auto, covariant=True)

GIVEN = "given"  # the tag of a value of such a key that is not `auto`, in pydantic's locations

# `OrAuto[int, A]` is an int or, before the table has been read, `auto`.
OrAuto = Annotated[
    Annotated[T, Tag(GIVEN)] | Annotated[A, Tag("auto")],
    Discriminator(lambda value: "auto" if value == "auto" else GIVEN),
]

U = TypeVar("U")

# `OneOrSeveral[str, list[str]]` is a str or a list; messages are about the one that a value is.
OneOrSeveral = Annotated[
    Annotated[T, Tag("one")] | Annotated[U, Tag("several")],
    Discriminator(lambda value: "several" if isinstance(value, list | dict) else "one"),
]

# One value for all networks, or a list that is divided among the networks of an ensemble.
Divided = OneOrSeveral[T, Annotated[list[T], Field(min_length=1)]]

Seed = Annotated[int, Field(ge=0, lt=2**63)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(ge=0, le=0.99)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
NotNegativeCount = Annotated[int, Field(ge=0, lt=2**31)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
FractionOrZero = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1, lt=2**31)]
Text = Annotated[str, BeforeValidator(_as_text), Field(min_length=1)]
EnsembleSize = Annotated[int, Field(ge=1, le=512)]

RunName = Annotated[Text, AfterValidator(check_name)]


def read_levels(value: object) -> tuple[float, ...]:
    """The levels of intervals, sets or quantiles: a number, several, or text such as `0.8,0.9`.

    Raises:
        ValueError: if one is not between 0 and 1, or is given twice.
    """
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, Iterable) else [value]
    levels = list[float]()
    for part in parts:
        text = str(part).strip()
        try:
            level = float(text.removesuffix("%"))
        except ValueError:
            level = nan
        if not 0 < level < 1 or text.endswith("%"):
            remedy = f"; for {level:g} % of the rows, give {level / 100:g}" if 1 < level < 100 else ""
            raise ValueError(f"a level is above 0 and below 1, such as 0.9{remedy}")
        if f"{level:g}" in map("{:g}".format, levels):
            raise ValueError(f"the level {level:g} is given twice")
        levels.append(level)
    if not levels:
        raise ValueError("give a level, such as 0.9")
    return tuple(levels)


Levels = Annotated[tuple[float, ...], BeforeValidator(read_levels)]


class Section(BaseModel):
    """A section of the configuration. It rejects unknown keys and does not convert types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, serialize_by_alias=True)


class ClassSection(Section):
    """A section that names a class in `_target_`; all further keys are its arguments."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())

    @property
    def arguments(self) -> dict[str, object]:
        """The keyword arguments that the class is called with."""
        return dict(self.__pydantic_extra__ or {})
