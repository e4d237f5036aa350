"""Warm start: a run that starts from the weights of a trained run (`init_from=FOLDER`, or its file)."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from mlplab.config import ResolvedConfig
from mlplab.config.dotted_keys import differing
from mlplab.data.leaks.seen_rows import SeenRows
from mlplab.data.schema import Schema
from mlplab.data.splits.split import Rows
from mlplab.errors import Fault, UserError, listed, shortened
from mlplab.models import Network
from mlplab.runs.discovery import finished_run
from mlplab.runs.run import Run, member_configs
from mlplab.runs.run_file import unpacked
from mlplab.runs.trained.trained_run import TrainedRun, seen_entry, seen_of
from mlplab.runs import checkpoint

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
        known, where = {each.name: each.categories for each in trained.schema.inputs}, f"init_from={folder}"
        for column in schema.inputs:
            if new := {*column.categories}.difference(known.get(column.name) or column.categories):
                what = f"column '{column.name}' has categories that it was not trained on"
                found = listed(map(shortened, sorted(new)), 5)
                raise UserError(Fault(f"{what}: {found}", where, remedy="leave out these rows, or init_from"))
        differs = sorted(name for name in there.keys() | here.keys() if there.get(name) != here.get(name))
        what, remedy = "was trained on different columns", "give both tables the same columns and classes"
        raise UserError(Fault(f"{what}: {listed(differs)}", where, remedy=remedy))
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


def inherited_rows(run: Run, *, resumed: bool) -> list[SeenRows] | None:
    """The rows in the training of the run that a run starts from; None if they are unknown.

    They are read once, when training starts: later, that run may be gone, or trained anew.
    """
    if not run.config.init_from:
        return []
    if resumed:
        return seen_of(checkpoint.load(run.files.source)) if run.files.source.exists() else None
    with unpacked(Path(run.config.init_from)) as folder:
        trained = TrainedRun(folder)
    chance = run.data.seen.by_chance  # of the same columns, for runs of 1.0, which did not count it
    seen = trained.seen and [
        rows if rows.by_chance[0] else replace(rows, by_chance=chance) for rows in trained.seen
    ]
    if seen and trained.table == run.data.fingerprint:
        members = enumerate(member_configs(run.config))
        if all(trained.members[_place(member, number, trained)] == number for number, member in members):
            return seen[1:]  # each network trained on the rows that it will train on
    return seen


def save_inherited_rows(run: Run) -> None:
    """Saves these rows to the folder of a run that starts, for when it is resumed."""
    if run.config.init_from:
        checkpoint.save(run.files.source, seen_entry(run.inherited))


def seen_rows_warnings(run: Run) -> list[str]:
    """Warnings that rows by which this run is judged were in the training of `init_from`."""
    where, test = f"init_from={run.config.init_from}", run.data.split.test
    if run.inherited is None:
        what = "which rows were in its training cannot be told, because it was saved without their hashes"
        consequence = "if test or validation rows were, scores are too optimistic, and intervals too narrow"
        return [f"{where}: {what}; {consequence}"]
    warnings, remedy = [], "use data.split and ensemble=… of that run, or train from scratch"
    if count := _seen_before(run, test):
        what = f"{count:,} of the {len(test):,} test rows were in its training or validation"
        warnings.append(f"{where}: {what}, so the test scores are too optimistic; {remedy}")
    if count := trained_before(run):
        what = f"{count:,} of the {len(_held_out(run)):,} held-out rows were in its training"
        lost = "quantiles are not corrected" if run.config.quantiles else "there are no intervals or sets"
        consequence = f"so validation scores are too optimistic, and {lost}"
        warnings.append(f"{where}: {what}, {consequence}; {remedy}")
    return warnings


def trained_before(run: Run) -> int:
    """How many rows that a run holds out were in the training of `init_from`.

    Such rows choose the epoch, the temperature and the threshold badly, and their errors are too small.
    """
    return _seen_before(run, _held_out(run), in_training=True)


def _held_out(run: Run) -> Rows:
    return np.unique(np.concatenate([member.split.val for member in run.data.members]))


def _seen_before(run: Run, rows: Rows, *, in_training: bool = False) -> int:
    """How many rows of its table were seen by `init_from`, if they are more than by chance."""
    seen = np.zeros(len(rows), np.bool_)
    for earlier in run.inherited or ():
        recognised = earlier.recognised(run.data.table.values, rows, in_training=in_training)
        if not earlier.is_chance(recognised):
            seen |= recognised
    return int(seen.sum())


def _columns(schema: Schema) -> dict[str, object]:
    """What must be equal in two schemas, by column, so that networks can exchange weights."""
    columns = {
        column.name: (place, column.kind, column.missing, column.categories, column.parts)
        for place, column in enumerate(schema.inputs)
    }
    targets = {name: (f"target {place}", schema.classes) for place, name in enumerate(schema.targets)}
    return {**columns, **targets}
