"""Which runs of a sweep share a stack, and how many stacks train at a time."""

import json
import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlplab import config
from mlplab.data.cache import DataCache
from mlplab.data.datamodule import batch_rows
from mlplab.data.load_table import table_key
from mlplab.errors import UserError
from mlplab.files import replacing
from mlplab.runs.resume import was_started
from mlplab.runs.stack.build import check_buildable, supports_padding
from mlplab.sweeps.folder import read_stacks
from mlplab.sweeps.run import SweepRun
from mlplab.sweeps.stack_keys import PER_MEMBER
from mlplab.sweeps.stack_size import StackSize

WORTH_A_PROCESS = 60
"""Seconds of training above which it is worth starting more processes."""

SHOWN = 3
"""The number of refused runs whose reason is shown."""


@dataclass(frozen=True)
class Plan:
    """How the runs of a sweep are trained.

    Args:
        runs: all runs, some of them refused.
        stacks: the runs that train together, as indices of `runs`.
        workers: number of stacks that train at a time.
    """

    runs: tuple[SweepRun, ...]
    stacks: tuple[tuple[int, ...], ...]
    workers: int

    @property
    def refused(self) -> list[SweepRun]:
        """The runs that will not train."""
        return [run for run in self.runs if run.error]

    def summary(self, finished: int = 0, place: str = "") -> str:
        """A line such as `64 runs: 2 stacks of 32; 40 finished earlier`, and why runs are refused.

        Args:
            finished: number of runs that have ended earlier.
            place: where they train, if not in this process.
        """
        sizes = Counter(map(len, self.stacks))
        parts = [
            f"{count} stack{'s' * (count > 1)} of {size}" if size > 1 else f"{count} alone"
            for size, count in sorted(sizes.items(), reverse=True)
        ]
        if self.refused:
            parts.append(f"{len(self.refused)} refused")
        where = f"; {place}" if place else ""
        earlier = f"; {finished} finished earlier" if finished else ""
        networks = sum(config.chosen(run.config.ensemble) for run in self.runs if run.config)
        ensembles = f" ({networks:,} networks)" if networks > len(self.runs) else ""
        runs = f"{len(self.runs)} run{'s' * (len(self.runs) != 1)}{ensembles}"
        lines = [f"{runs}: {', '.join(parts)}{where}{earlier}"]
        lines += [f"  refused: {run.folder.name}: {run.reason}" for run in self.refused[:SHOWN]]
        return "\n".join([*lines, *(["  …"] if len(self.refused) > SHOWN else [])])

    def write(self, path: Path) -> None:
        """Writes JSON to the sweep's folder: the names of each stack's runs, and why runs are refused."""

        def name(run: SweepRun) -> str:
            return os.fspath(run.folder.relative_to(path.parent))

        own = {run.folder for run in self.runs}
        earlier = [
            stack for stack in read_stacks(path) if own.isdisjoint(stack)
        ]  # of a search's other batches
        content = {
            "stacks": [
                *([os.fspath(folder.relative_to(path.parent)) for folder in stack] for stack in earlier),
                *([name(self.runs[index]) for index in stack] for stack in self.stacks),
            ],
            "refused": {name(run): run.reason for run in self.refused},
            "workers": self.workers,
        }
        with replacing(path) as partial:
            partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def make_plan(
    runs: Sequence[SweepRun],
    cache: DataCache,
    max_members: int | None,
    workers: int | None,
    slots: int,
    earlier: Sequence[Sequence[Path]] = (),
    *,
    trained_here: bool = True,
) -> Plan:
    """Groups runs that can share a stack, and cuts each group into stacks of nearly equal size.

    The plan does not depend on the current speed of the machine, so the same sweep gives the same stacks
    on all machines with as many cores.

    Args:
        cache: the tables and splits of the runs.
        max_members: largest number of networks in a stack, if a run has no more; None: `StackSize.members`.
        workers: number of stacks that train at a time; None: one, or as many as there is room for if training
            takes over a minute.
        slots: number of stacks that there is room for.
        earlier: the stacks of an earlier plan, as folders of runs; the new plan contains them.
        trained_here: whether this machine trains the runs, and must have their devices.
    """
    checked = list(runs)
    shapes: dict[str, list[int]] = {}
    for index, run in enumerate(checked):
        if run.config:
            shapes.setdefault(_stack_key(run.config, cache, index), []).append(index)
    groups: list[tuple[list[int], StackSize]] = []
    stacks: list[tuple[int, ...]] = []
    seconds = 0.0
    for indices in shapes.values():
        if buildable := list(_buildable(indices, checked, cache, trained_here)):
            resumed = list(_earlier_stacks(buildable, checked, earlier))
            stacks += resumed
            rest = sorted(set(buildable).difference(*resumed))
            first = checked[buildable[0]].config
            assert first is not None
            size = StackSize.of(first, cache.data(first))
            groups.append((rest, size))
            seconds += size.seconds(len(buildable) - len(rest), len(resumed))
    counts = [math.ceil(len(indices) / size.runs(max_members or size.members())) for indices, size in groups]
    if workers is None:
        seconds += sum(
            size.seconds(len(indices), count) for (indices, size), count in zip(groups, counts, strict=True)
        )
        workers = slots if seconds > WORTH_A_PROCESS else 1
    if sum(counts) < workers:
        counts = [
            max(count, min(workers, len(indices))) for (indices, _), count in zip(groups, counts, strict=True)
        ]
    for (indices, _), count in zip(groups, counts, strict=True):
        stacks += _cut(indices, count)
    return Plan(tuple(checked), tuple(stacks), min(workers, max(1, len(stacks))))


def _buildable(
    group: Sequence[int], runs: list[SweepRun], cache: DataCache, trained_here: bool
) -> Iterator[int]:
    """The runs of a group that can be built, which depends only on `init_from`; the others are refused."""
    errors: dict[str | None, UserError | None] = {}
    for index in group:
        run = runs[index].config
        assert run is not None
        init_from = None if was_started(runs[index].folder) else run.init_from
        if init_from not in errors:
            tried = run.model_copy(update={"init_from": init_from})
            if not trained_here:
                on_cpu = run.trainer.model_copy(update={"accelerator": "cpu"})
                tried = tried.model_copy(update={"trainer": on_cpu})
            try:
                check_buildable(tried, cache.data(run))
                errors[init_from] = None
            except UserError as error:
                errors[init_from] = error
        if found := errors[init_from]:
            runs[index] = runs[index].refused(found)
        else:
            yield index


def _earlier_stacks(
    group: Sequence[int], runs: Sequence[SweepRun], earlier: Sequence[Sequence[Path]]
) -> Iterator[tuple[int, ...]]:
    """The stacks of an earlier plan whose runs are all in a group."""
    indices = {runs[index].folder: index for index in group}
    for stack in earlier:
        if all(folder in indices for folder in stack):
            yield tuple(indices[folder] for folder in stack)


def _cut(group: Sequence[int], count: int) -> Iterator[tuple[int, ...]]:
    for part in range(count):
        yield tuple(group[len(group) * part // count : len(group) * (part + 1) // count])


def _stack_key(run: config.TrainConfig, cache: DataCache, index: int) -> str:
    """What runs must have in common to share a stack."""
    per_member = PER_MEMBER | ({"model": {"dropout"}} if isinstance(run.model, config.Mlp) else {})
    rows = max(len(member.split.train) for member in cache.data(run).members)
    batch = batch_rows(config.chosen(run.data.batch_size), rows)
    steps = math.ceil(rows / batch) if supports_padding(run.model) else rows  # all have the same short batch
    alone = index if run.callbacks.added else None  # custom callbacks act on the whole Trainer
    key = run.model_dump(mode="json", exclude=per_member), str(table_key(run)), batch, steps, alone
    return json.dumps(key)
