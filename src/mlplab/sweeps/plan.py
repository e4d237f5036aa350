"""Which runs of a sweep share a stack, and how many stacks train at a time."""

import json
import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlplab import config
from mlplab.console import plural
from mlplab.data.cache import DataCache
from mlplab.data.datamodule import batch_rows
from mlplab.data.load_table import table_key
from mlplab.errors import UserError
from mlplab.files import replacing
from mlplab.runs.resume import was_started
from mlplab.runs.run import Run
from mlplab.runs.stack.build import check_buildable, supports_padding
from mlplab.sweeps.checks import RefusedRun, refuse
from mlplab.sweeps.folder import read_stacks
from mlplab.sweeps.stack_keys import PER_MEMBER
from mlplab.sweeps.stack_size import StackSize

WORTH_A_PROCESS = 60
"""Seconds of training above which it is worth starting more processes."""

MAX_REASONS = 3
"""The number of refused runs whose reason is shown."""


@dataclass(frozen=True)
class Plan:
    """How the runs of a sweep are trained.

    Args:
        stacks: the runs that train together.
        workers: number of stacks that train at a time.
    """

    stacks: Sequence[Sequence[Run]]
    refused: Sequence[RefusedRun]
    workers: int

    def summary(self, finished: int = 0, place: str = "") -> str:
        """A line such as `64 runs: 2 stacks of 32; 40 finished earlier`, and why runs are refused.

        Args:
            finished: number of runs that have ended earlier.
            place: where they train, if not in this process.
        """
        sizes = Counter(map(len, self.stacks))
        parts = [
            f"{plural(count, 'stack')} of {size}" if size > 1 else f"{count} alone"
            for size, count in sorted(sizes.items(), reverse=True)
        ]
        if self.refused:
            parts.append(f"{len(self.refused)} refused")
        where = f"; {place}" if place else ""
        earlier = f"; {finished} finished earlier" if finished else ""
        total = sum(map(len, self.stacks)) + len(self.refused)
        networks = sum(config.chosen(run.config.ensemble) for stack in self.stacks for run in stack)
        ensembles = f" ({networks:,} networks)" if networks > total else ""
        lines = [f"{plural(total, 'run')}{ensembles}: {', '.join(parts)}{where}{earlier}"]
        lines += [f"  refused: {run.folder.name}: {run.reason}" for run in self.refused[:MAX_REASONS]]
        return "\n".join([*lines, *(["  …"] if len(self.refused) > MAX_REASONS else [])])

    def write(self, path: Path) -> None:
        """Writes JSON to the sweep's folder: the names of each stack's runs, and why runs are refused.

        The stacks of a search's other batches stay there.
        """
        stacks = [[run.folder for run in stack] for stack in self.stacks]
        planned = {folder for stack in stacks for folder in stack}
        earlier = [stack for stack in read_stacks(path) if planned.isdisjoint(stack)]

        def name(folder: Path) -> str:
            return os.fspath(folder.relative_to(path.parent))

        content = {
            "stacks": [list(map(name, stack)) for stack in [*earlier, *stacks]],
            "refused": {name(run.folder): run.reason for run in self.refused},
            "workers": self.workers,
        }
        with replacing(path) as partial:
            partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def make_plan(
    runs: Sequence[Run],
    refused: Sequence[RefusedRun],
    cache: DataCache,
    *,
    slots: int,
    max_members: int | None = None,
    workers: int | None = None,
    earlier: Sequence[Sequence[Path]] = (),
    trained_here: bool = True,
) -> Plan:
    """Groups runs that can share a stack, and cuts each group into stacks of nearly equal size.

    The plan does not depend on the current speed of the machine, so the same sweep gives the same stacks
    on all machines with as many cores.

    Args:
        cache: the tables and splits of the runs.
        slots: number of stacks that there is room for.
        max_members: largest number of networks in a stack, if a run has no more; None: `StackSize.members`.
        workers: number of stacks that train at a time; None: one, or `slots` if training takes over a minute.
        earlier: the stacks of an earlier plan, as folders of runs; the new plan contains them.
        trained_here: whether this machine trains the runs, and must have their devices.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(_stack_key(run, cache), []).append(run)
    refused, stacks = list(refused), list[Sequence[Run]]()
    cuts: list[tuple[list[Run], int]] = []  # runs that are in no earlier stack, and their number of stacks
    seconds = 0.0
    for group in groups.values():
        buildable, more = _check_group(group, cache, trained_here=trained_here)
        refused += more
        if not buildable:
            continue
        unplanned = {run.folder: run for run in buildable}
        resumed = 0
        for folders in earlier:
            if unplanned.keys() >= set(folders):
                stacks.append([unplanned.pop(folder) for folder in dict.fromkeys(folders)])
                resumed += 1
        size = StackSize.of(buildable[0].config, cache.data(buildable[0].config))
        count = math.ceil(len(unplanned) / size.runs(max_members or size.members()))
        seconds += size.seconds(len(buildable), resumed + count)
        cuts.append((list(unplanned.values()), count))
    if workers is None:
        workers = slots if seconds > WORTH_A_PROCESS else 1
    too_few = sum(count for _, count in cuts) < workers
    for rest, count in cuts:
        stacks += _cut(rest, max(count, min(workers, len(rest))) if too_few else count)
    return Plan(stacks, refused, min(workers, max(1, len(stacks))))


def _check_group(
    group: Sequence[Run], cache: DataCache, *, trained_here: bool
) -> tuple[list[Run], list[RefusedRun]]:
    """The runs of a group that can be built, which depends only on `init_from`, and the others."""
    errors: dict[str | None, UserError | None] = {}
    buildable, refused = [], []
    for run in group:
        init_from = None if was_started(run.folder) else run.config.init_from
        if init_from not in errors:
            tried = run.config.model_copy(update={"init_from": init_from})
            if not trained_here:
                on_cpu = tried.trainer.model_copy(update={"accelerator": "cpu"})
                tried = tried.model_copy(update={"trainer": on_cpu})
            try:
                check_buildable(tried, cache.data(run.config))
                errors[init_from] = None
            except UserError as error:
                errors[init_from] = error
        if reason := errors[init_from]:
            refused.append(refuse(run, reason))
        else:
            buildable.append(run)
    return buildable, refused


def _cut(runs: Sequence[Run], count: int) -> list[Sequence[Run]]:
    """Stacks of nearly equal size."""
    return [runs[len(runs) * part // count : len(runs) * (part + 1) // count] for part in range(count)]


def _stack_key(run: Run, cache: DataCache) -> str:
    """What runs must have in common to share a stack."""
    section = run.config
    per_member = PER_MEMBER | ({"model": {"dropout"}} if isinstance(section.model, config.Mlp) else {})
    rows = max(len(member.split.train) for member in cache.data(section).members)
    batch = batch_rows(config.chosen(section.data.batch_size), rows)
    # With padding, all have the same short batch.
    steps = math.ceil(rows / batch) if supports_padding(section.model) else rows
    alone = str(run.folder) if section.callbacks.added else ""  # custom callbacks act on the whole Trainer
    key = section.model_dump(mode="json", exclude=per_member), str(table_key(section)), batch, steps, alone
    return json.dumps(key)
