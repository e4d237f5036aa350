"""Which runs of a sweep share a stack, and how many stacks train at a time: by what they would take."""

import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from mlplab import config
from mlplab.config import Mark, flat, is_marked
from mlplab.console import first_few, plural
from mlplab.data.cache import DataCache, RunData
from mlplab.data.defaults import batch_rows
from mlplab.data.load_table import table_key
from mlplab.errors import reason_of
from mlplab.files import Plain, write_json
from mlplab.imports import heavy_imports
from mlplab.runs.planned_run import PlannedRun
from mlplab.sweeps.check_runs import RefusedRun, initial_run, sift
from mlplab.sweeps.engines.engine import Engine
from mlplab.sweeps.sweep_folder import PLAN_FILE, read_stacks
from mlplab.training.run import activations

T = TypeVar("T")

MEMORY = 4 * 2**30  # bytes that a stack may use
# Bytes that a step of a stack should use, fitted to `scripts/benchmark.py step`. With more, the time of a
# member rises or stays the same; with less, members share too little of a step's fixed cost.
WORKING_SET = 12 * 2**20


@dataclass(frozen=True)
class Plan:
    """How the runs of a sweep are trained.

    Attributes:
        stacks: the runs that train together.
        refused: the runs that do not train.
        workers: how many stacks train at a time.
    """

    stacks: Sequence[Sequence[PlannedRun]]
    refused: Sequence[RefusedRun]
    workers: int

    def summary(self, finished: int = 0, place: str = "") -> str:
        """A line such as `64 runs: 2 stacks of 32; 40 finished earlier`, and why runs are refused."""
        parts = [
            f"{plural(count, 'stack')} of {size}" if size > 1 else f"{count} alone"
            for size, count in sorted(Counter(map(len, self.stacks)).items(), reverse=True)
        ]
        parts += [f"{len(self.refused)} refused"] if self.refused else []
        further = [place, f"{finished} finished earlier" if finished else ""]
        total = sum(map(len, self.stacks)) + len(self.refused)
        first = "; ".join([f"{plural(total, 'run')}: {', '.join(parts)}", *filter(None, further)])
        reasons = [f"  refused: {run.folder.name}: {reason_of(run.error)}" for run in self.refused]
        return "\n".join([first, *first_few(reasons)])

    def write(self, root: Path) -> None:
        """Writes the names of each stack's runs as JSON. The stacks of a search's other batches stay."""
        stacks = [[run.folder for run in stack] for stack in self.stacks]
        planned = {folder for stack in stacks for folder in stack}
        earlier = [stack for stack in read_stacks(root) if planned.isdisjoint(stack)]
        names = [[os.fspath(run.relative_to(root)) for run in stack] for stack in [*earlier, *stacks]]
        write_json(root / PLAN_FILE, {"stacks": names})


def plan_stacks(runs: Sequence[PlannedRun], refused: Sequence[RefusedRun], engine: Engine) -> Plan:
    """Plans which runs of a sweep train together, and how many stacks at a time.

    Runs that can share a stack are a group, and each group is cut into stacks of nearly equal size. That does
    not depend on the current speed of the machine, so the same sweep gives the same stacks on all machines
    with as many cores. Without `hydra.launcher.workers`, one stack trains at a time, or as many as there is
    room for if training takes over a minute. The stacks of an earlier plan stay.
    """

    def check(run: PlannedRun) -> None:
        changed: Plain = {"init_from": initial_run(run)}
        if engine.is_remote:  # this machine may lack its device
            changed["trainer"] = run.config.trainer.model_copy(update={"accelerator": "cpu"})
        engine.call(_check_buildable, run.config.model_copy(update=changed))

    def start(run: PlannedRun) -> object:  # what the checks of runs that may share a stack differ in
        init_from = initial_run(run)
        return init_from and (init_from, *activations(run.config))

    earlier, groups = read_stacks(engine.root), dict[str, list[PlannedRun]]()
    for run in runs:
        groups.setdefault(stack_key(run, engine.cache), []).append(run)
    not_trained, stacks = list(refused), list[Sequence[PlannedRun]]()
    cuts = list[tuple[list[PlannedRun], int]]()  # runs in no earlier stack, and how many stacks they make
    seconds = 0.0
    for group in groups.values():
        buildable, more = sift(group, start, check)
        not_trained += more
        if buildable:
            resumed, left = _resumed(buildable, earlier)
            stacks += resumed
            cost = engine.call(training_cost, buildable[0].config)
            count = math.ceil(len(left) / cost.runs(engine.launcher.max_members))
            cuts.append((left, count))
            seconds += cost.seconds(len(buildable), len(resumed) + count)
    workers = engine.launcher.workers or (engine.slots if seconds > 60 else 1)
    too_few = sum(count for _, count in cuts) < workers
    for rest, count in cuts:
        stacks += cut(rest, max(count, min(workers, len(rest))) if too_few else count)
    return Plan(stacks, not_trained, min(workers, max(1, len(stacks))))


def _resumed(
    runs: Sequence[PlannedRun], earlier: Sequence[Sequence[Path]]
) -> tuple[list[Sequence[PlannedRun]], list[PlannedRun]]:
    """The stacks of an earlier plan of which all runs are among these, and the other runs."""
    left, stacks = {run.folder: run for run in runs}, list[Sequence[PlannedRun]]()
    for folders in earlier:
        if left.keys() >= set(folders):
            stacks.append([left.pop(folder) for folder in dict.fromkeys(folders)])
    return stacks, list(left.values())


def _check_buildable(cache: DataCache, run: config.ResolvedConfig) -> None:
    with heavy_imports():
        from mlplab.runs.train_runs import check_buildable

    check_buildable(run, cache.data(run))


def cut(runs: Sequence[T], count: int) -> list[Sequence[T]]:
    """Stacks of nearly equal size."""
    return [runs[len(runs) * part // count : len(runs) * (part + 1) // count] for part in range(count)]


def stack_key(run: PlannedRun, cache: DataCache) -> str:
    """What runs must have in common to share a stack."""
    section, data = run.config, cache.data(run.config)
    values = {key: value for key, value in flat(section.plain()) if not is_marked(key, Mark.PER_MEMBER)}
    batch, steps = batches(section, data)
    if isinstance(section.model, config.CustomModel):
        values["model"] = section.model.arguments  # all of them, whatever their names are
        steps = max(len(member.split.train) for member in data.members)  # their short batches are not padded
    if isinstance(section.loss, config.CustomLoss):  # each member has its own
        values = {key: value for key, value in values.items() if not key.startswith("loss.")}
        values["loss"] = section.loss.class_path
    alone = str(run.folder) if section.callbacks.added else ""  # custom callbacks act on the whole Trainer
    schema = data.table.schema
    table: object = table_key(section), schema.column_offsets if data.table.memmapped else None
    if isinstance(section.data, config.FrameData) and not (data.table.memmapped or section.init_from):
        table = replace(schema.without_offsets, left_out={})  # frames may differ in rows and offsets
    return str((values, str(table), batch, steps, alone))


@dataclass(frozen=True)
class TrainingCost:
    """What the memory and the time of a run in a stack depend on.

    Attributes:
        weights: of a network.
        batch: rows of a batch, for each head.
        steps: of the whole training.
        ensemble: the number of networks.
        step_bytes: the memory of a step of a network.
    """

    weights: int
    batch: int
    steps: int
    ensemble: int
    step_bytes: int

    def runs(self, max_members: int | None) -> int:
        """Runs of a stack of `max_members` networks, but at least one.

        None: so many that a step uses about `WORKING_SET` bytes; at least two networks if `MEMORY` allows.
        """
        most = MEMORY // self.step_bytes
        members = max_members or min(128, max(2, WORKING_SET // self.step_bytes), most)  # more gain little
        return max(1, members // self.ensemble)

    def seconds(self, runs: int, stacks: int) -> float:
        """Estimated seconds of training on one core."""
        operations = 6 * self.batch * self.weights * self.ensemble
        # A core makes about 40e9 operations a second, and each step has a fixed cost.
        return self.steps * (runs * operations / 40e9 + stacks * 4e-4)


def training_cost(cache: DataCache, run: config.ResolvedConfig) -> TrainingCost:
    """The cost of a run, from the sizes of its table and network."""
    with heavy_imports():
        from mlplab.models import FeatureLayout

    data, itemsize = cache.data(run), run.trainer.precision // 8
    schema = data.table.schema
    layout = FeatureLayout(schema.category_counts, schema.missing)
    inputs = len(layout.columns(run.model.preprocessing))
    hidden: Sequence[int] = (128, 128)  # what is assumed of a network class of the user's
    bins, heads = 0, 1
    if isinstance(run.model, config.Mlp):
        hidden, heads = run.model.hidden, run.model.heads
        model, numbers = run.model, len(layout.numeric)
        bins = numbers * model.piecewise_linear_bins
        inputs += numbers * (model.periodic_projection or model.periodic_features)
        inputs += numbers * (model.piecewise_linear_width - 1) if bins else 0
    elif isinstance(run.model, config.Linear):
        hidden = ()
    widths = (inputs, *hidden, schema.outputs)
    weights = sum(a * b + b + (heads - 1) * (a + 2 * b) for a, b in pairwise(widths))
    batch_rows, steps = batches(run, data)
    batch = batch_rows * heads
    # Activations and their gradients; weights, their gradients, two moments and an average.
    step_bytes = itemsize * (2 * batch * (sum(widths) + bins) + 5 * weights)
    return TrainingCost(weights, batch, steps * run.trainer.max_epochs, run.ensemble, step_bytes)


def batches(run: config.ResolvedConfig, data: RunData) -> tuple[int, int]:
    """The rows of a batch, and the number of batches of an epoch."""
    rows = max(len(member.split.train) for member in data.members)
    batch = batch_rows(run.data.batch_size, rows)
    return batch, math.ceil(rows / batch)
