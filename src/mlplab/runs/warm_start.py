"""Warm start: a run that starts from the weights of a trained run (`init_from=FOLDER`, or its file)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mlplab.config import ResolvedConfig, differing
from mlplab.conformal.intervals import Levels
from mlplab.data.cache import DataCache, RunData
from mlplab.data.leaks.seen_rows import SeenRows
from mlplab.data.schema import Schema
from mlplab.data.splits.split import Rows, distinct
from mlplab.errors import listed, refusal
from mlplab.runs import checkpoint
from mlplab.runs.discovery import finished_run
from mlplab.runs.folder import RunFolder
from mlplab.runs.planned_run import PlannedRun
from mlplab.runs.run_archive import unpacked
from mlplab.runs.trained.trained_run import TrainedRun, seen_of
from mlplab.training.run import InitialWeights, member_configs


@dataclass(frozen=True)
class WarmStart:
    """A run with its data, and what it gets from the run that it starts from, if there is one.

    Args:
        initial: its weights; None if training goes on from a later state.
        inherited: the rows in its training; None if they are unknown.
        trained_before: how many rows that the run holds out are among these. Such rows choose the epoch, the
            temperature and the threshold badly, and their errors are too small.
    """

    plan: PlannedRun
    data: RunData
    initial: InitialWeights | None = None
    inherited: Sequence[SeenRows] | None = ()
    trained_before: int = 0


def warm_starts(plans: Sequence[PlannedRun], cache: DataCache, *, resumed: bool = False) -> list[WarmStart]:
    """The runs of a stack with what they get from `init_from`. That is read once, when training
    starts: later, that run may be gone, or trained anew.

    Args:
        resumed: whether training goes on from a later state, and the folders hold the rows inherited.

    Raises:
        UserError: if that is not a trained run, or its columns or architecture differ.
    """
    sources, starts = dict[str, TrainedRun](), list[WarmStart]()
    for plan in plans:
        run, data = plan.config, cache.data(plan.config)
        initial: InitialWeights | None = None
        inherited: Sequence[SeenRows] | None = ()
        if run.init_from and resumed:
            path = RunFolder(plan.folder).source
            inherited = seen_of(checkpoint.load(path)) if path.exists() else None
        elif run.init_from:
            if run.init_from not in sources:
                sources[run.init_from] = source(run, data.table.schema)
            initial = initial_weights(run, sources[run.init_from])
            inherited = _inherited(run, data, sources[run.init_from], initial.places)
        before = _seen_before(data, inherited, _held_out(data), in_training=True) if run.init_from else 0
        starts.append(WarmStart(plan, data, initial, inherited, before))
    return starts


def initial_weights(run: ResolvedConfig, trained: TrainedRun) -> InitialWeights:
    """The best weights and the preprocessing of a trained run, for each network of a run.

    Of an ensemble, the member with the same number is taken if its architecture is the same, or else another.

    Raises:
        UserError: if its architecture differs.
    """
    places = [_place(member, number, trained) for number, member in enumerate(member_configs(run))]
    return InitialWeights(trained.network.state_dict(), places, trained.schema.offsets)


def source(run: ResolvedConfig, schema: Schema) -> TrainedRun:
    """The run `run.init_from`, if it was trained on these columns, and predicts the same quantiles.

    Raises:
        UserError: otherwise.
    """
    folder = Path(run.init_from or "")
    with unpacked(folder) as inner:
        trained = TrainedRun.read(finished_run(inner, "init_from"))
    there, here = _outside(trained.schema, trained.quantiles), _outside(schema, run.quantiles)
    if differs := sorted(name for name in there.keys() | here.keys() if there.get(name) != here.get(name)):
        what = f"was trained on different columns, categories, classes or quantiles: {listed(differs)}"
        raise refusal(what, f"init_from={folder}", "use those of that run, or leave out init_from")
    return trained


def _place(run: ResolvedConfig, number: int, trained: TrainedRun) -> int:
    """Where the network for the member with this number is in a trained run.

    Raises:
        UserError: if no network there has the architecture of `run`.
    """
    own, able, differs = run.model.model_dump(), [], set[str]()
    for place, model in enumerate(trained.models):
        # These keys are not about weights.
        differs = {*differing(own, model.model_dump())} - {"dropout", "preprocessing.clip_predictions"}
        if not differs:
            able.append(place)
    if not able:
        listing = listed(f"model.{key}" for key in sorted(differs))
        what, where = f"has a different architecture: {listing}", f"init_from={trained.folder}"
        raise refusal(what, where, "use the same values of model.* in this run")
    by_number = {member: place for place, member in enumerate(trained.weights) if place in able}
    return by_number.get(number, able[number % len(able)])


def _inherited(
    run: ResolvedConfig, data: RunData, trained: TrainedRun, places: Sequence[int]
) -> Sequence[SeenRows] | None:
    """The rows in the training of a trained run; None if they are unknown."""
    chance = data.seen.by_chance  # of the same columns, for runs of 1.0, which did not count it
    seen = trained.seen and [
        rows if rows.by_chance[0] else replace(rows, by_chance=chance) for rows in trained.seen
    ]
    members = [*trained.weights]
    numbers = [members[place] for place in places]
    if seen and trained.table == data.fingerprint and numbers == [*range(run.ensemble)]:
        return seen[1:]  # each network trained on the rows that it will train on
    return seen


def seen_rows_warnings(start: WarmStart) -> list[str]:
    """Warnings that rows by which a run is judged were in the training of `init_from`."""
    run, data = start.plan.config, start.data
    where, test = f"init_from={run.init_from}", data.split.test
    if start.inherited is None:
        what = "which rows were in its training cannot be told, because it was saved without their hashes"
        consequence = "if test or validation rows were, scores are too optimistic, and intervals too narrow"
        return [f"{where}: {what}; {consequence}"]
    warnings, remedy = [], "use data.split and ensemble=… of that run, or train from scratch"
    if count := _seen_before(data, start.inherited, test):
        what = f"{count:,} of the {len(test):,} test rows were in its training or validation"
        warnings.append(f"{where}: {what}, so the test scores are too optimistic; {remedy}")
    if count := start.trained_before:
        what = f"{count:,} of the {len(_held_out(data)):,} held-out rows were in its training"
        lost = "quantiles are not corrected" if run.quantiles else "there are no intervals or sets"
        consequence = f"so validation scores are too optimistic, and {lost}"
        warnings.append(f"{where}: {what}, {consequence}; {remedy}")
    return warnings


def _held_out(data: RunData) -> Rows:
    return distinct(*(member.split.val for member in data.members))


def _seen_before(
    data: RunData, inherited: Sequence[SeenRows] | None, rows: Rows, *, in_training: bool = False
) -> int:
    """How many rows of a table were seen earlier, if they are more than by chance."""
    seen = np.zeros(len(rows), np.bool_)
    for earlier in inherited or ():
        recognised = earlier.recognised(data.table.values, rows, in_training=in_training)
        if not earlier.is_chance(recognised):
            seen |= recognised
    return int(seen.sum())


def _outside(schema: Schema, quantiles: Levels) -> dict[str, object]:
    """What must be equal outside two networks so that they can exchange weights, by column or key."""
    columns = {
        column.name: (place, column.kind, column.missing, column.categories, column.parts)
        for place, column in enumerate(schema.inputs)
    }
    targets = {name: (f"target {place}", schema.classes) for place, name in enumerate(schema.targets)}
    return {**columns, **targets, "loss.levels": quantiles}
