"""Every key of the configuration: its type, its range, and what a wrong one is told.

The values live in `conf/`; nothing here has a default, so that each stands in one place. `parse`
turns the composed configuration into a `TrainConfig`, or tells all that is wrong with it.
"""

import re
from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from mlplab.errors import Fault, UserError
from mlplab.keys import fault_of, unknown_key_fault
from mlplab.targets import check_target


def check_name(name: str) -> str:
    """The name itself, if it can only be a folder below another.

    Raises:
        ValueError: otherwise.
    """
    parts = name.split("/")
    if re.search(r"[\x00-\x1f\\:]", name) or name.startswith("~") or {"", ".", ".."} & set(parts):
        raise ValueError(
            "a run's name is a folder below outputs/: no absolute path, no '..', no backslash, no colon"
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


# --- data -----------------------------------------------------------------------------------------------


class RandomSplit(Section):
    """Rows dealt at random; `val` and `test` are fractions of all rows."""

    name: Literal["random"]
    val: Fraction
    test: Fraction
    seed: Seed

    @model_validator(mode="after")
    def _leaves_rows_to_train(self) -> "RandomSplit":
        if self.val + self.test >= 1:
            raise ValueError(f"val + test = {self.val + self.test:g} leaves no row to train on")
        return self


class FileSplit(Section):
    """One word a data row (train, val, test) in a file; with no val row, `val` is a fraction of train."""

    name: Literal["file"]
    path: Text
    val: Fraction
    seed: Seed


Split = Annotated[RandomSplit | FileSplit, Discriminator("name")]


class _Data(Section):
    batch_size: Count | None
    split: Split


class ConcreteData(_Data):
    """The concrete compressive strength table shipped with the package."""

    name: Literal["concrete"]


class CsvData(_Data):
    """A CSV file of numbers."""

    name: Literal["csv"]
    path: Text
    target: Text


class SyntheticData(_Data):
    """Rows drawn from a named function; `features` null means as many as the function uses."""

    name: Literal["synthetic"]
    function: Text
    rows: Count
    features: Count | None
    noise: NotNegative
    seed: Seed


# --- model ----------------------------------------------------------------------------------------------

Activation = Literal[
    "relu",
    "leaky_relu",
    "elu",
    "selu",
    "gelu",
    "silu",
    "mish",
    "softplus",
    "tanh",
    "sigmoid",
    "hardswish",
]


class Encoder(Section):
    """What stands between raw columns and the hidden layers, and between their output and target units."""

    name: Literal["standard", "none"]


class Linear(Section):
    """One affine layer."""

    name: Literal["linear"]
    encoder: Encoder


class Mlp(Section):
    """A multilayer perceptron."""

    name: Literal["mlp"]
    hidden: list[Count]
    activation: Activation
    dropout: Annotated[float, Field(ge=0, lt=1)]
    norm: Literal["none", "layer", "batch"]
    residual: bool
    encoder: Encoder

    @model_validator(mode="after")
    def _has_layers_to_skip(self) -> "Mlp":
        if self.residual and not any(a == b for a, b in pairwise(self.hidden)):
            raise ValueError(
                f"residual=true needs two neighbouring hidden layers of one width, hidden is {self.hidden}"
            )
        return self


class OwnModel(Section):
    """A network class of the user's, which gets its further keys as arguments."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())

    target: OwnTarget = Field(alias="_target_")
    encoder: Encoder

    @property
    def arguments(self) -> dict[str, Any]:
        """The keys that are the user's own."""
        return dict(self.__pydantic_extra__ or {})


def _model_tag(value: Any) -> str | None:
    if isinstance(value, OwnModel) or (isinstance(value, Mapping) and "_target_" in value):
        return "own"
    return value.get("name") if isinstance(value, Mapping) else getattr(value, "name", None)


Model = Annotated[
    Annotated[Mlp, Tag("mlp")] | Annotated[Linear, Tag("linear")] | Annotated[OwnModel, Tag("own")],
    Discriminator(_model_tag),
]


# --- training -------------------------------------------------------------------------------------------


class PlainLoss(Section):
    """Mean squared or mean absolute error."""

    name: Literal["mse", "mae"]


class HuberLoss(Section):
    """Squared below `delta`, absolute above; `delta` counts in standard deviations of the target."""

    name: Literal["huber"]
    delta: Positive


class Adam(Section):
    """Adam, or AdamW with its decay apart from the gradient."""

    name: Literal["adam", "adamw"]
    lr: Positive
    betas: Annotated[list[Annotated[float, Field(ge=0, lt=1)]], Field(min_length=2, max_length=2)]
    eps: NotNegative
    weight_decay: NotNegative


class Sgd(Section):
    """Stochastic gradient descent with momentum."""

    name: Literal["sgd"]
    lr: Positive
    momentum: Annotated[float, Field(ge=0, lt=1)]
    nesterov: bool
    weight_decay: NotNegative

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> "Sgd":
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov=true needs momentum above 0")
        return self


class ConstantSchedule(Section):
    """The learning rate stays as it is."""

    name: Literal["constant"]


class CosineSchedule(Section):
    """A linear rise over the fraction `warmup` of training, then half a cosine down to `final`."""

    name: Literal["cosine"]
    warmup: Annotated[float, Field(ge=0, lt=1)]
    final: Annotated[float, Field(ge=0, le=1)]


class StepSchedule(Section):
    """Times `factor` after every `every` epochs."""

    name: Literal["step"]
    every: Count
    factor: Annotated[float, Field(gt=0, le=1)]


class PlateauSchedule(Section):
    """Times `factor` when the monitored metric has not improved for more than `patience` epochs."""

    name: Literal["plateau"]
    patience: Annotated[int, Field(ge=0)]
    factor: Fraction


class Trainer(Section):
    """Arguments of the Trainer; `log_every_n_steps` null logs per epoch only."""

    target: TrainerTarget = Field(alias="_target_")
    max_epochs: Count
    accelerator: Literal["auto", "cpu", "cuda"]
    precision: Literal[32, 64]
    gradient_clip_val: Positive | None
    fast_dev_run: bool
    log_every_n_steps: Count | None


class EarlyStopping(Section):
    """Stops after `patience` epochs in which the monitored metric fell by no more than `min_delta`."""

    patience: Count | None
    min_delta: NotNegative


class _Target(Section):
    model_config = ConfigDict(extra="allow")

    @property
    def arguments(self) -> dict[str, Any]:
        """What the class is called with."""
        return dict(self.__pydantic_extra__ or {})


class AddedCallback(_Target):
    """A further Lightning callback; checkpoints are this project's own."""

    target: CallbackTarget = Field(alias="_target_")

    @model_validator(mode="after")
    def _writes_no_checkpoints(self) -> "AddedCallback":
        if self.target.endswith("Checkpoint"):
            raise ValueError("every run writes best.ckpt and last.ckpt itself; leave this callback out")
        return self


class AnyLogger(_Target):
    """A Lightning logger; it gets the run folder as `save_dir`, and its `name` is a folder in it."""

    target: LoggerTarget = Field(alias="_target_")

    @model_validator(mode="after")
    def _stays_in_the_run_folder(self) -> "AnyLogger":
        if "save_dir" in self.arguments:
            raise ValueError("save_dir is the run folder; leave it out")
        for key in ("name", "version", "sub_dir", "prefix"):
            if value := self.arguments.get(key):
                check_name(str(value))
        return self


class Callbacks(Section):
    """Early stopping, and any callbacks the user adds by name."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, AddedCallback]

    early_stopping: EarlyStopping

    @property
    def added(self) -> dict[str, AddedCallback]:
        """The callbacks that are not this project's own."""
        return self.__pydantic_extra__


class TrainConfig(Section):
    """One run."""

    name: RunName
    seed: Seed
    threads: Annotated[int, Field(ge=1, le=1024)]
    monitor: Literal["val/loss", "val/rmse", "val/mae"]
    data: Annotated[ConcreteData | CsvData | SyntheticData, Discriminator("name")]
    model: Model
    loss: Annotated[PlainLoss | HuberLoss, Discriminator("name")]
    optimizer: Annotated[Adam | Sgd, Discriminator("name")]
    scheduler: Annotated[
        ConstantSchedule | CosineSchedule | StepSchedule | PlateauSchedule, Discriminator("name")
    ]
    trainer: Trainer
    callbacks: Callbacks
    logger: Annotated[
        dict[str, AnyLogger], Field(default_factory=dict)
    ]  # logger=[] composes to no key at all

    def plain(self) -> dict[str, Any]:
        """As numbers, strings, lists and dicts; `parse` reads it back."""
        return self.model_dump()


def parse(values: Mapping[str, Any]) -> TrainConfig:
    """The typed form of a composed configuration.

    Raises:
        UserError: with every unknown key, wrong type and value out of range.
    """
    try:
        return TrainConfig.model_validate(values)
    except ValidationError as error:
        raise UserError(*(fault_of(detail, values, TrainConfig) for detail in error.errors())) from None


def unknown_key(key: str) -> Fault:
    """The fault of a `key` that no option knows, or that belongs to another option of its group."""
    return unknown_key_fault(key, TrainConfig)
