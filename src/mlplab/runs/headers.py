"""What a run's log says before training: table, network, and warnings about rows."""

from collections.abc import Sequence

from mlplab.config import CsvData, CustomModel, Mlp, TrainConfig, chosen
from mlplab.data.schema import Schema
from mlplab.errors import listed, shortened
from mlplab.models import MLP, Network
from mlplab.runs import warm_start
from mlplab.runs.stack_trainer import StackTrainer, TrainingRun
from mlplab.training.state import StackState

MANY_REPEATED = 0.05
"""If more than this share of the test rows repeat training rows, there is a warning."""


def write_headers(trainer: StackTrainer, warnings: Sequence[Sequence[str]], state: StackState | None) -> None:
    """Writes what is known before training: environment, schema, the first lines of the log."""
    network, table = trainer.stack.module.network, trainer.stack.table
    weights = sum(parameter[0].numel() for parameter in network.parameters())
    backward = "written out" if getattr(network.body, "written_out", False) else "autograd's"
    dropped, columns = len(table.x) - len(table.rows), len(table.schema.inputs)
    rows = f"{len(table.x)} rows" + (f" ({dropped} without a target are left out)" if dropped else "")
    for each, own_warnings in zip(trainer.runs, warnings, strict=True):
        each.folder.write_environment(trainer.device)
        each.folder.write_schema(table.schema.plain())
        split, run = each.data.split, each.config
        each.log(
            f"{table.source}: {rows}, {columns} column{'s' * (columns != 1)} → {_targets(table.schema)}; "
            f"train {len(split.train)}, val {len(split.val)}, test {len(split.test)}"
        )
        repeated = each.data.repeated_test_rows
        if 0 < repeated <= MANY_REPEATED * len(split.test):
            each.log(f"{repeated:,} of the {len(split.test):,} test rows equal a row of train or val")
        each.log(f"network: {_network(run, network)}, {weights:,} weights, on {trainer.device}")
        each.log(_training(run, trainer.stack.datamodule.batch_size, trainer.stack.datamodule.steps))
        if chosen(run.ensemble) > 1:
            each.log(_ensemble(each))
        each.folder.log_line(f"the backward pass is {backward}")
        if state:
            each.log(f"resumes after epoch {state.epoch}, step {state.step}")
        for warning in own_warnings:
            each.folder.log_line(f"warning: {warning}")


def _network(run: TrainConfig, network: Network) -> str:
    """The hidden layers, such as `3 × 128 units (relu)`, and what goes in beside the columns."""
    model = run.model
    if not isinstance(model, Mlp):
        return model.class_path if isinstance(model, CustomModel) else model.name
    widths, dropout = chosen(model.hidden), chosen(model.dropout)
    several = f"{len(widths)} × {widths[0]}" if len(set(widths)) == 1 else " → ".join(map(str, widths))
    parts = [f"{several} units ({model.activation})" if widths else "no hidden layer"]
    parts += [f"dropout {dropout:g}"] * bool(widths and dropout)
    if isinstance(network.body, MLP) and network.body.periodic is not None:
        parts += [f"{network.body.periodic.count} periodic features per numeric column"]
    return ", ".join(parts)


def _training(run: TrainConfig, step_rows: int, steps: int) -> str:
    """The optimizer, its steps, and which weights are tested."""
    optimizer, epochs = run.optimizer, chosen(run.trainer.max_epochs)
    averaged = ", averaged weights" if chosen(optimizer.weight_averaging) else ""
    return (
        f"{optimizer.name}: lr {chosen(optimizer.lr):g}, weight decay {chosen(optimizer.weight_decay):g}"
        f"{averaged}; up to {epochs:,} epochs of {steps:,} × {step_rows:,} rows"
    )


def _ensemble(run: TrainingRun) -> str:
    """How many networks there are, and how many rows each of them holds out."""
    held_out = sorted({len(member.split.val) for member in run.data.members})
    rows = " to ".join(f"{count:,}" for count in (held_out[0], held_out[-1])[: len(held_out)])
    both = len(run.data.split.train) + len(run.data.split.val)
    held = f"each holds out {rows} of the {both:,} rows of train and val"
    return f"ensemble: {run.config.ensemble} such networks; {held}"


def _targets(schema: Schema) -> str:
    """The names of the targets, and the classes of one."""
    classes = f" ({schema.task}: {listed(map(shortened, schema.classes), 5)})" if schema.classes else ""
    return listed(schema.targets) + classes


def row_warnings(run: TrainingRun, *, resumed: bool) -> list[str]:
    """Warnings about classes that a set lacks, and about test rows that are in training."""
    data, warnings = run.data, []
    for part, absent in data.absent_classes.items():
        if absent:
            what = "the network cannot learn to predict" if part == "train" else "it does not count"
            warnings.append(f"the {part} set has no row of {listed(map(shortened, absent), 5)}: {what}")
    if isinstance(run.config.data, CsvData):
        warnings += data.target_leaks
    if run.config.init_from and not resumed:
        warnings += warm_start.seen_rows_warnings(run.config, data)
    repeated, test = data.repeated_test_rows, len(data.split.test)
    if repeated > MANY_REPEATED * test:
        what = f"{repeated:,} of the {test:,} test rows equal a row of train or val in all columns"
        warnings.append(f"{what}; if they are copies, the test scores are too optimistic: remove the copies")
    return warnings
