"""What the command of a large sweep does while its workers train, and what memory it takes."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from pydantic import Field

from benchmarks.arguments import Counts, Reported
from benchmarks.child import answer, seconds_of
from benchmarks.engines.sweep import Sweep
from benchmarks.report import Report, grid
from benchmarks.timing import Key, Times, shown

TRAINED = Sweep(stacks=1, members=1, epochs=1, rows=1000, hidden="[32,32]")
"""A run like those that are made up."""

PARTS = ("compose", "plan", "drive", "summarize")


class Bookkeeping(Reported):
    """The arguments of this benchmark."""

    runs: Annotated[int, Field(gt=0, multiple_of=10)] = 10_000
    members: Counts = (1, 32)


def measure(arguments: Bookkeeping) -> Report:
    """Gives the command in a process of its own; each run's files are copies of a trained run's."""
    found = {}
    with TemporaryDirectory() as name:
        seconds_of("a run", *TRAINED.words(Path(name, "trained")))
        template = os.fspath(Path(name, "trained/seed=0"))
        for members in arguments.members:
            words = template, f"{name}/sweep-{members}", str(arguments.runs), str(members)
            found[members] = answer("engines.driver", *words, folder=Path(name))
    title = f"the command of a sweep of {arguments.runs:,} runs, without its workers"
    caption = "of a run; its workers' time is subtracted; peak: of the command's process"
    table = grid(title, "stacks of", *PARTS, "all", "peak MiB", caption=caption)
    times: dict[Key, Times] = {}
    for members, each in found.items():
        parts = [each["seconds"][part] for part in PARTS]
        times |= {(members, part): Times([each["seconds"][part]]) for part in PARTS}
        of_run = [shown(seconds / arguments.runs) for seconds in (*parts, sum(parts))]
        table.add_row(str(members), *of_run, f"{each['peak'] / 2**20:,.0f}")
    return Report(arguments, [table], times, {"found": found})
