"""What `auto` stands for: values that suit the task and the size of a table.

They were chosen by the held-out rows of 52 development tables of 200 to 40,000 rows; docs/defaults.md says
how, and what else was tried. Those for more rows only bound the time.
"""

import math
from collections.abc import Mapping

from pydantic import BaseModel

from mlplab import config
from mlplab.config import CrossEntropyLoss, Model, ResolvedConfig, SimpleLoss, TrainConfig
from mlplab.data.schema import Schema
from mlplab.data.splits.bagging import folds_of
from mlplab.data.splits.split import Split
from mlplab.data.table import Table

# Training rows, and for tables of up to so many, the batch size and the number of epochs. From 300 rows to
# six million, there are 2,000 to 20,000 steps, so a million rows take minutes.
SIZES_BY_ROWS = (
    (300, 32, 400),
    (1_500, 64, 400),
    (6_000, 128, 200),
    (24_000, 128, 80),
    (96_000, 256, 40),
    (400_000, 512, 24),
    (1_500_000, 1024, 16),
    (6_000_000, 2048, 6),
    (math.inf, 4096, 3),
)

HIDDEN = [128, 128, 128]  # wider layers need fewer epochs for the same time, and were no better

# Training rows up to which the activation for numbers is smooth, in ensembles that of one half. With more,
# that is worse: the more rows there are, the finer are the details that they show.
SMOOTH_ROWS = 6_000

# Of piecewise-linear embeddings; tables with more numeric columns get none, which would cost too much.
BINS, EMBEDDING_WIDTH, MOST_NUMBERS = 16, 8, 150

# Periodic features of each numeric column if they are projected (RealMLP, arXiv 2407.04491).
PROJECTED_FEATURES = 16


# Defaults by name: for numbers, and for classes. `activation` is that for up to `SMOOTH_ROWS` training rows:
# of one network, or of half an ensemble, whose other half has relu.
DEFAULTS: Mapping[str, tuple[object, object]] = {
    "loss": (SimpleLoss(name="mse"), CrossEntropyLoss(name="cross_entropy", label_smoothing=0.03)),
    "monitor": ("val/mae", "val/log_loss"),
    "lr": (0.005, 0.003),
    "fan_in_lr": (0.2, 0.04),  # with `lr_by_fan_in`, as in RealMLP (arXiv 2407.04491)
    "activation": ("silu", "relu"),
    "parametric_activation": ("mish", "selu"),  # RealMLP's, too
    "weight_decay": (0.2, 1.0),
    "dropout": (0.0, 0.3),
}

# Of more than two classes, instead: with the above, letters have 1.4 times the log loss.
SEVERAL_CLASSES: Mapping[str, object] = {"weight_decay": 0.2, "dropout": 0.2}

# Where most columns are categories, too: many of these are easily learned by heart, and it depends on the
# table which values are better. Ensembles have both.
MOSTLY_CATEGORIES: Mapping[str, object] = {"weight_decay": [1.0, 0.2], "dropout": [0.3, 0.2]}

# Networks of a run alone, with up to so many training rows × columns: a million rows of 20 columns.
ENSEMBLE_SIZE, MOST_CELLS = 8, 20_000_000

FEW_ROWS, FEW_ROWS_DROPOUT = 420, 0.5  # the dropout of classifiers with fewer training rows


def sizes_for(rows: int) -> tuple[int, int]:
    """The batch size and the number of epochs for so many training rows."""
    return next((batch_size, epochs) for most, batch_size, epochs in SIZES_BY_ROWS if rows <= most)


def batch_rows(batch_size: int | None, rows: int) -> int:
    """Rows per training step: at most all rows."""
    return min(batch_size or rows, rows)


def resolve_auto(run: TrainConfig, table: Table, split: Split, *, alone: bool = False) -> ResolvedConfig:
    """A run, `alone` or of a sweep, in which values for its table and split replace `auto`.

    A run without test rows gets `test=false`. With several activations, there are at least as many networks.
    """
    members = _members(run, table, split, alone=alone) if run.ensemble == "auto" else run.ensemble
    rows = typical_train_rows(run.data.split, table, split, members)
    batch_size, epochs = sizes_for(rows)
    defaults = _defaults_of(table.schema, members)
    by_fan_in = isinstance(run.optimizer, config.Adam) and run.optimizer.lr_by_fan_in
    lr = defaults["fan_in_lr" if by_fan_in else "lr"]
    monitor = "val/loss" if run.quantiles else defaults["monitor"]
    return config.parse_resolved(
        {
            **dict(run),
            "ensemble": members,
            "test": run.test and len(split.test) > 0,
            "monitor": monitor if run.monitor == "auto" else run.monitor,
            "loss": defaults["loss"] if run.loss.name == "auto" else run.loss,
            "data": _filled(run.data, batch_size=batch_size, fingerprint=table.fingerprint["sha256"]),
            "trainer": _filled(run.trainer, max_epochs=epochs),
            "model": _model(run.model, table, defaults, rows, members),
            "optimizer": _filled(run.optimizer, lr=lr, weight_decay=defaults["weight_decay"]),
        }
    )


def _defaults_of(schema: Schema, members: int) -> dict[str, object]:
    defaults = {name: of_task[bool(schema.classes)] for name, of_task in DEFAULTS.items()}
    in_words = sum(bool(column.categories) for column in schema.inputs)
    if len(schema.classes) <= 2:
        return defaults
    if 2 * in_words <= len(schema.inputs):
        return {**defaults, **SEVERAL_CLASSES}
    return {**defaults, **MOSTLY_CATEGORIES} if members > 1 else defaults


def _members(run: TrainConfig, table: Table, split: Split, *, alone: bool) -> int:
    needed = max(map(len, run.divided.values()), default=1)
    cells = typical_train_rows(run.data.split, table, split) * len(table.schema.inputs)
    is_custom = isinstance(run.model, config.CustomModel) or bool(run.callbacks.added)
    is_single = is_custom or run.init_from is not None or not alone
    return needed if is_single or cells > MOST_CELLS else max(needed, ENSEMBLE_SIZE)


def typical_train_rows(section: config.Split, table: Table, split: Split, members: int = 1) -> int:
    """The number of training rows of each of the `members`, the same for all folds and seeds of a split.

    So all folds of a table have the same defaults, and share a stack.
    """
    match section:
        case config.RandomSplit() | config.GroupSplit() | config.TimeSplit():
            shares = 1 - section.val - section.test, section.val
        case config.KFoldSplit():  # folds in time have less or more; on average, half of the rows
            rest = 0.5 if section.time else 1 - 1 / section.folds
            shares = rest * (1 - section.val), rest * section.val
        case config.FileSplit():
            shares = len(split.train) / len(table.rows), len(split.val) / len(table.rows)
    train, val = shares
    if members > 1:  # in time, members train on more and more of val
        in_time = getattr(section, "time", None) is not None
        train += val / 2 if in_time else val - (train + val) / folds_of(members)
    return round(len(table.rows) * train)


def _model(model: Model, table: Table, defaults: Mapping[str, object], rows: int, members: int) -> object:
    if not isinstance(model, config.Mlp):
        return model
    is_small = table.schema.classes and rows < FEW_ROWS
    is_projected, numbers = model.periodic_projection > 0, table.schema.category_counts.count(0)
    has_layers = model.hidden != []
    activation = smooth = defaults["activation"]
    if rows > SMOOTH_ROWS or smooth == "relu":
        activation = "relu"
    elif members > 1 and has_layers:
        activation = [smooth, "relu"]
    return _filled(
        model,
        hidden=HIDDEN,
        activation=defaults["parametric_activation"] if model.parametric_activation else activation,
        dropout=FEW_ROWS_DROPOUT if is_small else defaults["dropout"],
        periodic_features=PROJECTED_FEATURES if is_projected else 0,
        piecewise_linear_bins=BINS if has_layers and not is_projected and numbers <= MOST_NUMBERS else 0,
        piecewise_linear_width=EMBEDDING_WIDTH,
        linear_path=has_layers,
    )


def _filled(section: BaseModel, **defaults: object) -> dict[str, object]:
    """The values of a section, in which defaults replace `auto`."""
    values = section.model_dump()
    return values | {key: value for key, value in defaults.items() if values.get(key) == "auto"}
