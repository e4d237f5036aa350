"""Weights that a new run begins with, from a trained one (`init_from=FOLDER`)."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64

from mlplab.config import TrainConfig
from mlplab.config.keys import differing
from mlplab.data.cache import DataCache
from mlplab.data.fingerprint import row_hashes
from mlplab.data.load import opened_source
from mlplab.data.schema import Schema
from mlplab.data.table import BLOCK
from mlplab.data.transform import FrameTransformer
from mlplab.errors import Fault, UserError, listed
from mlplab.models import Network
from mlplab.runs.discovery import finished_run
from mlplab.runs.trained import TrainedRun


def begin_with_trained(network: Network, member: int, run: TrainConfig, schema: Schema) -> None:
    """Gives a member the best weights of the run that `run.init_from` names, including its preprocessing.

    Raises:
        UserError: if that is no trained run, takes other columns, or is another network.
    """
    folder = finished_run(Path(run.init_from or ""), "init_from")
    trained = TrainedRun(folder)
    if (there := _shape(trained.schema)) != (here := _shape(schema)):
        differs = [name for name in there.keys() | here.keys() if there.get(name) != here.get(name)]
        raise UserError(
            Fault(
                "was trained on other columns",
                f"init_from={folder}",
                f"{listed(trained.schema.names)} → {listed(trained.schema.targets)}",
                f"{listed(schema.names)} → {listed(schema.targets)}; other are {listed(sorted(differs))}",
                "give both tables the same columns, with the same categories",
            )
        )
    models = run.model.model_dump(), trained.config.model.model_dump()
    if keys := listed(f"model.{key}" for key in differing(*models) if key != "dropout"):
        raise UserError(
            Fault(
                "is another network",
                f"init_from={folder}",
                f"other {keys}",
                remedy="give the same model keys",
            )
        )
    kept = trained.network.state_dict()
    old, new = (torch.tensor(each.offsets, dtype=torch.float64) for each in (trained.schema, schema))
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            tensor[member] = kept[name][0]
        network.preprocessing.shift(member, old - new)  # what the columns are centred by


def seen_test_rows(run: TrainConfig, cache: DataCache) -> str:
    """A warning of a run whose test rows were seen in the training that its weights come from; else empty."""
    trained, test = TrainedRun(Path(run.init_from or "")), cache.split(run).test
    try:
        seen = int(trained.has_seen(_hashes_as_read_by(trained, run, cache)[test]).sum())
    except UserError as error:
        why = error.faults[0].sentence()
        return (
            f"init_from={run.init_from}: whether its training saw test rows of this run cannot be told: {why}"
        )
    if not seen:
        return ""
    return (
        f"init_from={run.init_from}: {seen:,} of the {len(test):,} test rows were in its training or "
        "validation, so that the test scores are too good; use the split of that run, or train from scratch"
    )


def inherited_rows(run: TrainConfig, schema: Schema) -> Int64[np.ndarray, " row"]:
    """Hashes of the rows that the training saw from which a run's weights come, if both read rows alike."""
    if run.init_from and (folder := Path(run.init_from)).is_dir():
        with suppress(UserError):
            if (trained := TrainedRun(folder)).schema.inputs == schema.inputs:
                return trained.seen
    return np.empty(0, np.int64)


def _hashes_as_read_by(trained: TrainedRun, run: TrainConfig, cache: DataCache) -> Int64[np.ndarray, " row"]:
    """Hashes of the rows of a run's table, as a trained run reads it, whose columns may be centred elsewhere.

    Raises:
        UserError: if that run cannot read it.
    """
    table = cache.table(run)
    if trained.schema.inputs == table.schema.inputs and trained.dtype == table.x.dtype:
        return cache.row_hashes(run)
    hashes = np.empty(len(table.x), np.int64)
    with opened_source(run.data) as source:
        transformer = FrameTransformer(
            trained.schema, source.where, trained.dtype, comma=source.decimal_comma
        )
        for frame in source.frames(BLOCK):
            rows = slice(transformer.rows, transformer.rows + frame.height)
            hashes[rows] = row_hashes(transformer.features(frame), table.y[rows])
    return hashes


def _shape(schema: Schema) -> dict[str, object]:
    """What networks that may take each other's weights have in common, by column, in the columns' order."""
    columns = {
        column.name: (place, column.kind, column.missing, column.categories, column.parts)
        for place, column in enumerate(schema.inputs)
    }
    return {**columns, **{name: f"target {place}" for place, name in enumerate(schema.targets)}}
