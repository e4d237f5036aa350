"""A run that is to be trained, and its configuration, in which values replace `auto`. Imports no torch."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mlplab.config import MAY_BE_AUTO, Mlp, ResolvedConfig, TrainConfig, UserTable, parse_resolved
from mlplab.data.cache import DataCache
from mlplab.data.defaults import resolve_auto
from mlplab.data.schema import Schema
from mlplab.errors import UserError
from mlplab.runs.discovery import read_config, read_schema
from mlplab.runs.run_file import unpacked
from mlplab.training.run import Bracket


@dataclass(frozen=True)
class PlannedRun:
    """One configuration, to be trained once into one folder.

    Args:
        bracket: the rungs at which the run is compared with others of its stack, and may be pruned.
        resume: whether its folder is that of the same run, started before.
    """

    config: ResolvedConfig
    folder: Path
    bracket: Bracket | None = None
    resume: bool = False


ARCHITECTURE = {key.removeprefix("model.") for key in MAY_BE_AUTO if key.startswith("model.")} - {"dropout"}
"""Keys of the model on which the meaning of its weights depends, and which may be `auto`."""


def resolved(
    run: TrainConfig, cache: DataCache, folder: Path | None = None, *, alone: bool = False
) -> ResolvedConfig:
    """The run with the defaults for its table; of the run that it starts from, architecture and categories.

    Args:
        folder: of the run, if it may have been started before: `init_from` may be gone by now.
        alone: whether the run is no part of a sweep.

    Raises:
        UserError: if the table or the split cannot be used.
    """
    schema = None
    if run.init_from:
        started = folder if folder and (folder / "config.yaml").exists() else None
        # What cannot be read is reported before training.
        with suppress(UserError, ValueError), unpacked(started or Path(run.init_from)) as other:
            run = _with_architecture(run, parse_resolved(read_config(other)))
            schema = Schema.from_plain(read_schema(other))
    data = cache.data(run)
    if schema and isinstance(run.data, UserTable) and (lacking := _lacking(schema, data.table.schema)):
        run = run.model_copy(update={"data": run.data.model_copy(update={"categories": lacking})})
        data = cache.data(run)
    return resolve_auto(run, data.table, data.split, alone=alone)


def _with_architecture(run: TrainConfig, other: ResolvedConfig) -> TrainConfig:
    """The run in which the values of another run replace `auto`."""
    model, trained = run.model, other.model
    if not (isinstance(model, Mlp) and isinstance(trained, Mlp)):
        return run
    changed = {key: getattr(trained, key) for key in ARCHITECTURE if getattr(model, key) == "auto"}
    if isinstance(names := changed.get("activation"), list):
        members = 1 if run.ensemble == "auto" else run.ensemble
        changed["activation"] = names[:members] if members > 1 else names[0]
    return run.model_copy(update={"model": model.model_copy(update=changed)})


def _lacking(trained: Schema, schema: Schema) -> dict[str, list[str]]:
    """The categories of a trained run by column, if a table has only some of them, or left the column out."""
    here = dict.fromkeys(schema.left_out, ()) | {column.name: column.categories for column in schema.inputs}
    there = {column.name: [*column.categories] for column in trained.inputs if column.categories}
    return {name: texts for name, texts in there.items() if name in here and {*here[name]} < {*texts}}
