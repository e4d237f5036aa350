"""The commands that train the best configuration of a sweep."""

import re
from collections.abc import Sequence

from hydra.core.override_parser.types import Override

from mlplab.commands.report.comparison import Comparison
from mlplab.data.cache import DataCache
from mlplab.runs.compare.ranking import REPEATS
from mlplab.runs.planned_run import resolved
from mlplab.sweeps.checks import ComposeRuns, RefusedRun
from mlplab.sweeps.grid import Runs, lines_of
from mlplab.typed_commands import command_line

NOT_OF_A_RUN = re.compile(r"[+~]*(name|sweep|ensemble)\b")
"""Keys that the commands do not repeat."""


def winner(comparisons: Sequence[Comparison], overrides: Runs) -> Sequence[Override]:
    """The overrides of a grid's best configuration, without seeds and folds over which its score is a mean.

    There are none if the runs are on several tables, or if it is of an earlier command.

    Args:
        overrides: those of each run, by the name of its folder.
    """
    if len(comparisons) > 1 or not comparisons[0].best:
        return []
    first, *others = comparisons[0].best
    of_first = overrides.get(first.folder.name, ())
    return [each for each in of_first if not (others and each.key_or_group in REPEATS)]


def training_commands(compose: ComposeRuns, overrides: Sequence[Override], cache: DataCache) -> list[str]:
    """The command that trains a configuration as the sweep did, and that of a run alone, if it differs.

    With `ensemble=auto`, networks of a sweep are scored one by one, and a run alone is an ensemble. There is
    none if the overrides need the fold that they lack.
    """
    [run] = compose({"": overrides})
    if isinstance(run, RefusedRun):
        return []
    sizes = [resolved(run.config, cache, alone=alone).ensemble for alone in (False, True)]
    lines = [line for line in lines_of(overrides) if not NOT_OF_A_RUN.match(line)]
    return [command_line("train", *lines, f"ensemble={size}") for size in dict.fromkeys(sizes)]


def with_introduction(commands: Sequence[str]) -> list[str]:
    """Two `training_commands`, after a line that says what they train; empty if there is one or none."""
    if len(commands) < 2:
        return []
    size = commands[1].rpartition("=")[2]
    return [f"Single networks were scored. To train the best again, or an ensemble of {size}:", *commands]
