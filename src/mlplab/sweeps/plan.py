"""Which runs of a sweep train together, and how many at once."""

import json
import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from mlplab import config
from mlplab.cli.composition import Job
from mlplab.data.cache import DataCache
from mlplab.data.datamodule import batch_rows
from mlplab.data.load import table_key
from mlplab.data.loader import WINDOW
from mlplab.errors import UserError
from mlplab.files import replacing
from mlplab.models import preprocessed_width
from mlplab.runs.build import STORED_BLOCK, check_buildable, may_fill
from mlplab.runs.layout import layout_of

OWN: dict[str, Any] = {
    "name": True,
    "seed": True,
    "data": {"split"},
    "loss": {"delta"},
    "optimizer": {"lr", "betas", "eps", "weight_decay", "momentum"},
    "scheduler": True,
    "callbacks": {"early_stopping"},
    "init_from": True,
}
"""Keys in which the members of a stack may differ."""

LARGEST = 128
"""Members of a stack; beyond it little is gained."""

WORKING_SET = 12 * 2**20
"""Bytes that a step of a stack should touch. Fitted to `scripts/benchmark.py stack`: with more the cost of a
member rises or stays, with less it does not yet share enough of what a step costs beside the arithmetic."""

MEMORY = 4 * 2**30
"""Bytes that it may touch."""

RATE = 40e9
"""Floating-point operations a second that a core comes to, for estimates."""

STEP_SECONDS = 4e-4
"""What a step costs beside them, for estimates."""

WORTH_A_PROCESS = 60
"""Seconds of training from which on more processes are worth their start."""

NAMED = 3
"""Refused runs of which it is said why."""

UNKNOWN_WIDTHS = (128, 128)
"""Taken for a network class of the user's."""


@dataclass(frozen=True)
class Plan:
    """The runs of a sweep, and those that train together as numbers in its list.

    Args:
        jobs: all runs; those that are found to be wrong with what is wrong.
        stacks: the runs that train together.
        workers: processes among which the stacks are dealt.
    """

    jobs: tuple[Job, ...]
    stacks: tuple[tuple[int, ...], ...]
    workers: int

    @property
    def refused(self) -> list[Job]:
        """The runs that will not train."""
        return [job for job in self.jobs if job.error]

    def told(self, ended: int = 0) -> str:
        """In words: `64 runs: 2 stacks of 32; 40 have ended before`."""
        sizes = Counter(map(len, self.stacks))
        parts = [
            f"{count} stack{'s' * (count > 1)} of {size}" if size > 1 else f"{count} alone"
            for size, count in sorted(sizes.items(), reverse=True)
        ]
        if self.refused:
            parts.append(f"{len(self.refused)} refused")
        workers = f"; {self.workers} processes" if self.workers > 1 else ""
        before = f"; {ended} ha{'ve' if ended > 1 else 's'} ended before" if ended else ""
        lines = [f"{len(self.jobs)} run{'s' * (len(self.jobs) != 1)}: {', '.join(parts)}{workers}{before}"]
        lines += [f"  refused: {job.folder.name}: {job.reason}" for job in self.refused[:NAMED]]
        return "\n".join([*lines, *(["  …"] if len(self.refused) > NAMED else [])])

    def write(self, path: Path) -> None:
        """As JSON in the sweep's folder: the names of the runs of each stack, and why those refused are."""

        def name(job: Job) -> str:
            return os.fspath(job.folder.relative_to(path.parent))

        content = {
            "stacks": [[name(self.jobs[number]) for number in stack] for stack in self.stacks],
            "refused": {name(job): job.reason for job in self.refused},
            "workers": self.workers,
        }
        with replacing(path) as partial:
            partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_stacks(path: Path) -> list[list[Path]]:
    """The folders of each stack's runs in a plan that was written; none where there is no plan."""
    try:
        stacks = json.loads(path.read_text(encoding="utf-8"))["stacks"]
        return [[path.parent / str(name) for name in stack] for stack in stacks]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def make_plan(
    jobs: Sequence[Job],
    cache: DataCache,
    members: int | None,
    workers: int | None,
    cores: int,
    earlier: Sequence[Sequence[Path]] = (),
) -> Plan:
    """Groups runs that can share a stack, and cuts the groups to stacks of nearly equal size.

    Neither depends on how fast the machine is at the moment, so that a sweep makes the same stacks again.

    Args:
        jobs: their tables and splits have been checked.
        members: of a stack at most; None leaves it to `Size.members`.
        workers: processes; None takes one, or one for each of the `cores` where one would take over a minute.
        earlier: stacks of an earlier plan, by their runs' folders; they stay together.
    """
    checked = list(jobs)
    shapes: dict[str, list[int]] = {}
    for number, job in enumerate(checked):
        if job.config:
            shapes.setdefault(_shape(job.config, cache, number), []).append(number)
    groups: list[tuple[list[int], Size]] = []
    stacks: list[tuple[int, ...]] = []
    seconds = 0.0
    for numbers in shapes.values():
        if buildable := list(_buildable(numbers, checked, cache)):
            together = list(_together(buildable, checked, earlier))
            stacks += together
            rest = sorted(set(buildable).difference(*together))
            first = checked[buildable[0]].config
            assert first is not None
            groups.append((rest, Size.of(first, cache)))
            seconds += groups[-1][1].seconds(len(buildable) - len(rest), len(together))
    counts = [math.ceil(len(numbers) / (members or size.members())) for numbers, size in groups]
    if workers is None:
        seconds += sum(
            size.seconds(len(numbers), count) for (numbers, size), count in zip(groups, counts, strict=True)
        )
        workers = cores if seconds > WORTH_A_PROCESS else 1
    if sum(counts) < workers:
        counts = [
            max(count, min(workers, len(numbers))) for (numbers, _), count in zip(groups, counts, strict=True)
        ]
    for (numbers, _), count in zip(groups, counts, strict=True):
        stacks += _cut(numbers, count)
    return Plan(tuple(checked), tuple(stacks), min(workers, max(1, len(stacks))))


def _buildable(group: Sequence[int], jobs: list[Job], cache: DataCache) -> Iterator[int]:
    """Those of a group that can be made; the others are marked as wrong. What runs may differ in makes no
    difference to that, but for the weights that they begin with."""
    wrong: dict[str | None, UserError | None] = {}
    for number in group:
        run = jobs[number].config
        assert run is not None
        if run.init_from not in wrong:
            try:
                check_buildable(run, cache)
                wrong[run.init_from] = None
            except UserError as error:
                wrong[run.init_from] = error
        if found := wrong[run.init_from]:
            jobs[number] = jobs[number].refused(found)
        else:
            yield number


def _together(
    group: Sequence[int], jobs: Sequence[Job], earlier: Sequence[Sequence[Path]]
) -> Iterator[tuple[int, ...]]:
    """The stacks of an earlier plan that lie in a group."""
    numbers = {jobs[number].folder: number for number in group}
    for stack in earlier:
        if all(folder in numbers for folder in stack):
            yield tuple(numbers[folder] for folder in stack)


def _cut(group: Sequence[int], count: int) -> Iterator[tuple[int, ...]]:
    for part in range(count):
        yield tuple(group[len(group) * part // count : len(group) * (part + 1) // count])


def _shape(run: config.TrainConfig, cache: DataCache, number: int) -> str:
    """What runs must have in common to share a stack."""
    own = OWN | ({"model": {"dropout"}} if isinstance(run.model, config.Mlp) else {})
    rows = len(cache.split(run).train)
    batch = batch_rows(run.data.batch_size, rows)
    steps = math.ceil(rows / batch) if may_fill(run.model) else rows  # a short batch must be so for all
    alone = number if run.callbacks.added else None  # the user's callbacks act on the whole Trainer
    return json.dumps([run.model_dump(mode="json", exclude=own), str(table_key(run)), batch, steps, alone])


@dataclass(frozen=True)
class Size:
    """What the training of a run moves.

    Args:
        widths: of the layers, inputs and output included.
        batch: rows of a step.
        steps: of the whole training.
        number: bytes of a number.
        window: bytes of rows that it holds of a table in a file.
    """

    widths: tuple[int, ...]
    batch: int
    steps: int
    number: int
    window: int = 0

    @classmethod
    def of(cls, run: config.TrainConfig, cache: DataCache) -> "Size":
        """That of a run."""
        table, rows = cache.table(run), len(cache.split(run).train)
        hidden: Sequence[int] = UNKNOWN_WIDTHS
        if isinstance(run.model, config.Mlp):
            hidden = run.model.hidden
        elif isinstance(run.model, config.Linear):
            hidden = ()
        batch = batch_rows(run.data.batch_size, rows)
        steps = math.ceil(rows / batch) * run.trainer.max_epochs
        features = preprocessed_width(run.model.preprocessing, layout_of(table.schema))
        widths, number = (features, *hidden, len(table.schema.targets)), run.trainer.precision // 8
        window = 2 * WINDOW * STORED_BLOCK * table.x.shape[1] * number if table.memmapped else 0
        return cls(widths, batch, steps, number, window)

    @property
    def weights(self) -> int:
        """Weights and biases."""
        return sum(a * b + b for a, b in pairwise(self.widths))

    def members(self) -> int:
        """Of a stack: as many as touch the working set, in activations and their gradients, and in weights,
        their gradients and what the optimizer remembers of them; at least two, within memory."""
        touched = self.number * (2 * self.batch * sum(self.widths) + 4 * self.weights)
        return max(1, min(LARGEST, max(2, WORKING_SET // touched), MEMORY // (touched + self.window)))

    def seconds(self, runs: int, stacks: int) -> float:
        """An estimate of what so many runs take on one core."""
        operations = 6 * self.batch * self.weights
        return self.steps * (runs * operations / RATE + stacks * STEP_SECONDS)
