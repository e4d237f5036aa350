"""The results of many runs as a table that fits the terminal."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len
from rich.table import Table as RichTable
from rich.text import Text

from mlplab.commands.render import format_mean
from mlplab.commands.results import RUN, Group, Results, Score
from mlplab.runs.selection import in_brief, short_keys

TRIAL = "trial"
"""Stands for the names of a search's trials, as `RUN` does for those of runs."""

NAMES = (RUN, TRIAL)

KEY, FOLDER, WORDS, LABEL = 16, 40, 12, 24
"""Least widths of columns whose cells may be wrapped: values of a key, folders, words, values of all keys."""

SECONDARY = ("test/mae", "test/auroc")
"""Metrics that are left out first."""

NULLS = {"null", ""}
"""Values of keys that are not set."""

NOTHING = "–"

MOST_NAMES = 2
"""Runs of a group that are named."""

Baselines = Mapping[str, Mapping[str, Score]]
"""The scores of baselines, by name and metric."""


@dataclass(frozen=True)
class _Layout:
    """What a table shows.

    Args:
        labels: whether the keys share a column, as in `lr=0.01, hidden=[64]`.
        broken: whether the names of keys are broken after `_`.
        metrics: the largest number of metrics.
    """

    labels: bool
    broken: bool = False
    sd: bool = True
    se: bool = False
    metrics: int = 4


LAYOUTS = (
    _Layout(labels=False, se=True),
    _Layout(labels=False),
    _Layout(labels=False, metrics=3),
    _Layout(labels=False, metrics=2),
    _Layout(labels=False, metrics=2, broken=True),
    _Layout(labels=True, metrics=3),
    _Layout(labels=True, metrics=2),
    _Layout(labels=True, sd=False, metrics=3),
    _Layout(labels=True, sd=False, metrics=2),
)
"""From the widest to the narrowest."""


@dataclass(frozen=True)
class _Column:
    """A column of a table.

    Args:
        least: the least width, if longer cells may be wrapped.
    """

    header: str
    cells: list[str]
    least: int | None = None

    @property
    def width(self) -> int:
        longest = max(map(cell_len, (*self.header.split("\n"), *self.cells)))
        return longest if self.least is None else min(longest, self.least)


def results_table(
    found: Results,
    width: int,
    title: str | None = None,
    caption: str | None = None,
    *,
    with_names: bool = False,
) -> RichTable:
    """A row for each group of runs, with what fits in the width.

    Keys have short names. Those that are null or the same in all rows are left out.

    Args:
        caption: below the table, instead of what the scores are averaged over.
        with_names: whether there is a column of the runs' names, too, for groups that have few.
    """
    if with_names:
        names = [", ".join(group.names) if len(group.names) <= MOST_NAMES else "" for group in found.groups]
        keys = [(name, *group.key) for name, group in zip(names, found.groups, strict=True)]
        groups = [replace(group, key=key) for group, key in zip(found.groups, keys, strict=True)]
        found = replace(found, by=(RUN, *found.by), groups=tuple(groups))
    table = _fitted(_without_equal_keys(found), LAYOUTS, width, "configuration", {}, title)
    table.caption = caption or table.caption
    return table


def summary_table(
    found: Results, width: int, header: str, baselines: Baselines, title: str | None = None
) -> RichTable:
    """A row for each group of runs and for each baseline, with what fits in the width.

    Args:
        header: above the groups' values.
    """
    return _fitted(found, [each for each in LAYOUTS if each.labels], width, header, baselines, title)


def _without_equal_keys(found: Results) -> Results:
    columns = [{group.key[number] for group in found.groups} for number in range(len(found.by))]
    several = len(found.groups) > 1
    differ = [not values <= NULLS and (len(values) > 1 or not several) for values in columns]

    def kept(values: Sequence[str]) -> tuple[str, ...]:
        return tuple(value for value, differs in zip(values, differ, strict=True) if differs)

    groups = tuple(replace(group, key=kept(group.key)) for group in found.groups)
    return replace(found, by=kept(found.by), groups=groups)


def _fitted(
    found: Results,
    layouts: Sequence[_Layout],
    width: int,
    header: str,
    baselines: Baselines,
    title: str | None,
) -> RichTable:
    """The table of the first layout that fits, or of the last."""
    for layout in layouts:
        columns = [*_names(found, layout, header, baselines), *_values(found, layout, baselines)]
        if 1 + sum(column.width + 3 for column in columns) <= width:
            break
    over = "" if _has_over(found) else found.groups[0].over
    spread = " ± SD" * layout.sd + " (SE)" * layout.se
    table = RichTable(title=title, caption=f"mean{spread} over {over}" if over else None)
    table.title_justify = table.caption_justify = "left"
    for column in columns:
        table.add_column(Text(column.header), overflow="fold", no_wrap=column.least is None)
    for number, row in enumerate(zip(*(column.cells for column in columns), strict=True), 1):
        table.add_row(*map(Text, row), end_section=bool(baselines) and number == len(found.groups))
    return table


def _names(found: Results, layout: _Layout, header: str, baselines: Baselines) -> Iterator[_Column]:
    """The columns of the keys' values, and before them those of the runs' names."""
    keys = dict(enumerate(short_keys(found.by)))
    for number, key in keys.items():
        if key in NAMES:
            cells = [group.key[number] for group in found.groups]
            yield _Column(key, [*cells, *[""] * len(baselines)], FOLDER)
    others = {number: key for number, key in keys.items() if key not in NAMES}
    values = [{key: in_brief(group.key[number]) for number, key in others.items()} for group in found.groups]
    if layout.labels:
        labels = (
            ", ".join(f"{key}={cell}" for key, cell in each.items() if cell not in NULLS) for each in values
        )
        yield _Column(header, [*(label or "all runs" for label in labels), *baselines], LABEL)
        return
    for key in others.values():
        cells = [each[key] for each in values]
        name = key.replace("_", "_\n") if layout.broken else key
        yield _Column(name, [NOTHING if cell in NULLS else cell for cell in cells], KEY)


def _values(found: Results, layout: _Layout, baselines: Baselines) -> Iterator[_Column]:
    """The columns of the runs that scores are averaged over, the scores, and the runs without scores."""
    groups = found.groups
    if _has_over(found):
        yield _Column("over", [*map(_over, groups), *[""] * len(baselines)], WORDS)
    scores = [*(group.scores for group in groups), *baselines.values()]
    present = [
        name for name in found.metrics if not all(math.isnan(group.scores[name].mean) for group in groups)
    ]
    shown = sorted(present, key=lambda name: name in SECONDARY)[: layout.metrics]
    for name in present:
        if name in shown:
            cells = [format_mean(each[name], name, with_sd=layout.sd, with_se=layout.se) for each in scores]
            has_sd = any("±" in cell for cell in cells)
            yield _Column(f"{name}\n± SD{' (SE)' * layout.se}" if has_sd else name, cells)
    if any(group.unfinished for group in groups):
        yield _Column("not done", [*map(unfinished, groups), *[""] * len(baselines)], WORDS)


def _has_over(found: Results) -> bool:
    """Whether rows differ in what they are averaged over, or in nothing else."""
    return not found.by or len({group.over for group in found.groups}) > 1


def _over(group: Group) -> str:
    return group.over or ("1 run" if group.runs else NOTHING)


def unfinished(group: Group) -> str:
    """The number of unfinished runs by status, such as `1 diverged, 2 running`."""
    return ", ".join(f"{count} {status}" for status, count in group.unfinished.items())
