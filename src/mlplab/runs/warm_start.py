"""Warm start: a run that starts from the weights of a trained run (`init_from=FOLDER`, or its file)."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from mlplab.config import ResolvedConfig
from mlplab.config.dotted_keys import differing
from mlplab.data.cache import RunData
from mlplab.data.leaks.seen_rows import SeenRows
from mlplab.data.schema import Schema
from mlplab.data.splits.split import Rows
from mlplab.errors import Fault, UserError, listed
from mlplab.models import Network
from mlplab.runs.discovery import finished_run
from mlplab.runs.run_file import unpacked
from mlplab.runs.trained.trained_run import TrainedRun

OF_RUN = [
    "linear_path.share",
    *(
        f"preprocessing.target_transform.{name}"
        for name in ("temperature", "class_weight", "minimum", "maximum")
    ),
]
"""What a run computes itself: linear share, temperature, class weights, the range of its targets."""

MAY_DIFFER = ("dropout", "preprocessing.clip_predictions")
"""Keys of the model that are not about its weights."""


def initialize(network: Network, configs: Sequence[ResolvedConfig], schema: Schema) -> None:
    """Copies the best weights and the preprocessing of `init_from` to each member that has one.

    Of an ensemble, the member with the same number is taken if its architecture is the same, or else another.

    Raises:
        UserError: if that is not a trained run, or its columns or architecture differ.
    """
    sources: dict[str, TrainedRun] = {}
    for member, run in enumerate(configs):
        if not run.init_from:
            continue
        if run.init_from not in sources:
            sources[run.init_from] = _source(run, schema)
        trained = sources[run.init_from]
        place = _place(run, member % run.ensemble, trained)
        state = trained.network.state_dict()
        old, new = torch.tensor([trained.schema.offsets, schema.offsets], dtype=torch.float64)
        with torch.no_grad():
            for name, tensor in network.state_dict().items():
                if name not in OF_RUN:
                    tensor[member] = state[name][place]
            network.shift(member, old - new)  # the columns may have different offsets


def _source(run: ResolvedConfig, schema: Schema) -> TrainedRun:
    """The run `run.init_from`, if it was trained on these columns, and predicts the same quantiles.

    Raises:
        UserError: otherwise.
    """
    folder = Path(run.init_from or "")
    with unpacked(folder) as inner:
        trained = TrainedRun(finished_run(inner, "init_from"))
    if (there := _columns(trained.schema)) != (here := _columns(schema)):
        differs = [name for name in there.keys() | here.keys() if there.get(name) != here.get(name)]
        what, remedy = "was trained on different columns", "give both tables the same columns and categories"
        raise UserError(Fault(f"{what}: {listed(sorted(differs))}", f"init_from={folder}", remedy=remedy))
    if trained.quantiles != run.quantiles:
        found, expected = (
            listed(map(str, of), 9) if of else "none" for of in (trained.quantiles, run.quantiles)
        )
        what, remedy = (
            "predicts different quantiles",
            "use the same loss=quantile and loss.levels in this run",
        )
        raise UserError(Fault(what, f"init_from={folder}", found, expected, remedy))
    return trained


def _place(run: ResolvedConfig, number: int, trained: TrainedRun) -> int:
    """Where the network for the member with this number is in a trained run.

    Raises:
        UserError: if no network there has the architecture of `run`.
    """
    own, able, differs = run.model.model_dump(), [], list[str]()
    for place, model in enumerate(trained.models):
        if not (differs := [key for key in differing(own, model.model_dump()) if key not in MAY_DIFFER]):
            able.append(place)
    if not able:
        listing = listed(f"model.{key}" for key in differs)
        what, remedy = (
            f"has a different architecture: {listing}",
            "use the same values of model.* in this run",
        )
        raise UserError(Fault(what, f"init_from={trained.folder}", remedy=remedy))
    same_number = [place for place in able if trained.members[place] == number]
    return same_number[0] if same_number else able[number % len(able)]


def seen_rows_warnings(run: ResolvedConfig, data: RunData) -> list[str]:
    """Warnings that rows by which this run is judged were in the training of `run.init_from`.

    These are its test rows, and the rows that the networks of an ensemble hold out.
    """
    where = f"init_from={run.init_from}"
    with unpacked(Path(run.init_from or "")) as folder:
        trained = TrainedRun(folder)
    if trained.seen is None:
        what = "which rows were in its training cannot be told, because it was saved without their hashes"
        return [f"{where}: {what}; if test rows were, the test scores are too optimistic"]
    seen_before = trained.seen
    remedy = "use the split of that run, or train from scratch"

    def seen(rows: Rows) -> int:
        recognised = [earlier.recognised(data.table.values, rows) for earlier in seen_before]
        return int(np.any(recognised, axis=0).sum())

    warnings, test = [], data.split.test
    if count := seen(test):
        what = f"{count:,} of the {len(test):,} test rows were in its training or validation"
        warnings.append(f"{where}: {what}, so the test scores are too optimistic; {remedy}")
    held_out = np.unique(np.concatenate([member.split.val for member in data.bagged] or [test[:0]]))
    if count := seen(held_out):
        what = f"{count:,} of the {len(held_out):,} rows that networks hold out were in its training"
        warnings.append(f"{where}: {what}, so oof/* and val/* are too optimistic; train from scratch")
    return warnings


def inherited_rows(run: ResolvedConfig, schema: Schema) -> list[SeenRows] | None:
    """The rows in the training of `run.init_from`, if it is still the same run; None if they are unknown."""
    if run.init_from and (path := Path(run.init_from)).exists():
        with suppress(UserError), unpacked(path) as folder:
            if _columns((trained := TrainedRun(folder)).schema) == _columns(schema):
                return trained.seen
    return []


def _columns(schema: Schema) -> dict[str, object]:
    """What must be equal in two schemas, by column, so that networks can exchange weights."""
    columns = {
        column.name: (place, column.kind, column.missing, column.categories, column.parts)
        for place, column in enumerate(schema.inputs)
    }
    targets = {name: (f"target {place}", schema.classes) for place, name in enumerate(schema.targets)}
    return {**columns, **targets}
