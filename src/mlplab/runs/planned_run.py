"""A run that is to be trained, and its configuration, in which values replace `auto`. Imports no torch."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlplab.config import (
    MAY_BE_AUTO,
    Mark,
    Mlp,
    ResolvedConfig,
    TrainConfig,
    UserTable,
    differing,
    flat,
    is_marked,
    parse,
    parse_resolved,
)
from mlplab.errors import Fault, UserError, refusal
from mlplab.files import LOCK, PART
from mlplab.runs.read_folder import read_config, read_metrics, read_schema, read_version
from mlplab.runs.run_archive import unpacked
from mlplab.runs.versions import check_resumable
from mlplab.training.rungs import Bracket

if TYPE_CHECKING:
    from mlplab.data.cache import DataCache
    from mlplab.data.schema import Schema


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


def resolved(
    run: TrainConfig, cache: "DataCache", folder: Path | None = None, *, alone: bool = False
) -> ResolvedConfig:
    """The run with the defaults for its table; of the run that it starts from, architecture and categories.

    Args:
        folder: of the run, if it may have been started before: `init_from` may be gone by now.
        alone: whether the run is no part of a sweep.

    Raises:
        UserError: if the table or the split cannot be used.
    """
    from mlplab.data.defaults import resolve_auto  # polars and what reads tables: `resume` needs none of it
    from mlplab.data.schema import Schema

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
    model, trained = run.model, other.model
    if not (isinstance(model, Mlp) and isinstance(trained, Mlp)):
        return run
    keys = {key.removeprefix("model.") for key in MAY_BE_AUTO if key.startswith("model.")} - {"dropout"}
    changed = {key: getattr(trained, key) for key in keys if getattr(model, key) == "auto"}
    if isinstance(names := changed.get("activation"), list):
        members = 1 if run.ensemble == "auto" else run.ensemble
        changed["activation"] = names[:members] if members > 1 else names[0]
    return run.model_copy(update={"model": model.model_copy(update=changed)})


def _lacking(trained: "Schema", schema: "Schema") -> dict[str, list[str]]:
    """The categories of a trained run by column, if a table has only some of them, or left the column out."""
    here = dict.fromkeys(schema.left_out, ()) | {column.name: column.categories for column in schema.inputs}
    there = {column.name: [*column.categories] for column in trained.inputs if column.categories}
    return {name: texts for name, texts in there.items() if name in here and {*here[name]} < {*texts}}


FINAL = ("done", "diverged", "pruned")
"""Statuses of runs that would end in the same way again."""

MAY_GROW = "trainer.max_epochs"

OTHER_FOLDER = "choose a different folder: name=… or, in Python, folder=…"
"""The remedy for a folder that is in use."""


def was_started(folder: Path) -> bool:
    """Whether a run has left anything in a folder."""
    return folder.is_dir() and any(folder.iterdir())


def is_incomplete(folder: Path) -> bool:
    """Whether a folder belongs to a run that was killed while creating it."""
    names = {path.name for path in folder.iterdir() if not path.name.endswith(PART)}
    return names <= {LOCK, "metrics.json", "checkpoints"}


def has_ended(folder: Path, run: TrainConfig, *, alone: bool = False) -> bool:
    """Whether a started run has ended for good: with the epochs of `run`, it would end in the same way.

    Args:
        alone: whether no search resumes it. Then it goes on if the time of its search was over.
    """
    metrics = read_metrics(folder)
    if metrics["status"] not in FINAL or (alone and metrics["status"] == "done" and "reason" in metrics):
        return False
    saved = read_config(folder)
    epochs = saved.get("trainer", {}).get("max_epochs")
    stopped_early = metrics["status"] != "done" or metrics.get("epochs", epochs) < epochs
    return not differences(run, saved, str(folder), may_grow=stopped_early)


def read_run_config(folder: Path) -> TrainConfig:
    """The configuration of a run that is to be resumed.

    Raises:
        UserError: if the folder is not a run's, or its configuration is damaged or of a different version.
    """
    check_resumable(read_version(folder), str(folder))
    values = read_config(folder)
    try:
        return parse(values)
    except UserError as error:
        (fault, *_) = error.faults
        what = f"is not valid in this version of mlplab: {fault.sentence()}"
        raise refusal(what, folder / "config.yaml", fault.remedy) from error


def check_same_config(run: TrainConfig, folder: Path) -> None:
    """Checks that a folder is empty, or belongs to this run.

    Raises:
        UserError: if the folder belongs to a run with a different configuration, or is not a run's.
    """
    if not (folder / "config.yaml").exists():
        if was_started(folder) and not is_incomplete(folder):
            raise refusal("exists and is not empty", folder, OTHER_FOLDER)
    else:
        check_resumable(read_version(folder), str(folder))
        if faults := differences(run, read_config(folder), str(folder)):
            raise UserError(*faults)


def differences(
    run: TrainConfig, saved: Mapping[str, object], where: str, *, may_grow: bool = True
) -> list[Fault]:
    """The keys in which a resumed run differs from its saved configuration, but must not differ.

    `name`, `test` and `data.memory_gib` may differ; `trainer.max_epochs` may be increased if the schedule
    does not depend on it.
    """
    new, faults = run.plain(), []
    here, there = dict(flat(new)), dict(flat(saved))
    before, now = there.get(MAY_GROW), run.trainer.max_epochs
    may_grow &= run.scheduler.name != "cosine" and isinstance(before, int) and now != "auto" and now > before
    for key in differing(new, saved):
        if is_marked(key, Mark.MAY_CHANGE) or (key == MAY_GROW and may_grow):
            continue
        remedy = "remove it, or start a new run from that run's weights: init_from=FOLDER"
        if key == MAY_GROW:
            remedy = "it may only be increased; with scheduler=cosine, which depends on it, start a new run "
            remedy += f"from these weights: init_from={where}"
        what, expected = "differs from the resumed run", f"{there.get(key)!r} as in {where}"
        faults.append(Fault(what, key, repr(here.get(key)), expected, remedy))
    return faults
