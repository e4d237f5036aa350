"""The results of many runs as a table that fits the terminal."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.cells import cell_len
from rich.table import Table as RichTable
from rich.text import Text

from mlplab.commands.render import NOTHING, format_mean
from mlplab.commands.results import SETTINGS, Results
from mlplab.files import Plain
from mlplab.runs.compare.run_result import RUN, in_brief, short_keys

WORDS_WIDTH = 12  # the least of columns of words, whose cells may be wrapped

FEWEST_METRICS = 2  # that are shown in any width

NULLS = {None, "null", ""}  # values of keys that are not set

Row = Plain  # of `Results.frame`; of a baseline, its `label` and its scores


class _TableColumn(NamedTuple):
    header: str
    cells: list[str]
    least: int | None = None  # the width above which cells may be wrapped

    @property
    def width(self) -> int:
        """Characters that the column needs, with its border."""
        longest = max(map(cell_len, (*self.header.split("\n"), *self.cells)))
        return 3 + (longest if self.least is None else min(longest, self.least))


def results_table(
    results: Results, width: int, title: str | None = None, *, label: str = "", baselines: Sequence[Row] = ()
) -> RichTable:
    """A row for each configuration, with what fits in the width.

    Keys have short names, and a column each if they fit beside two metrics, else one for all. Those that are
    null or the same in all rows are left out, as are the last metrics. With a label, all keys have one column
    of that name, and there may be baselines below the configurations. `SETTINGS` are cut, not wrapped.
    """
    is_cut = SETTINGS in results.by
    configurations = results.frame.to_dicts()
    rows = [*configurations, *baselines]
    by = []
    for name in results.by:  # what tells rows apart, or says something about the only one
        values = {row[name] for row in configurations}
        if not values <= NULLS and (len(values) > 1 or len(configurations) == 1):
            by.append(name)
    overs = {row.get("over") for row in configurations}
    has_over = len(overs) > 1 or not by
    names = [row[RUN] or "" for row in configurations] if RUN in by else []
    last_parts = [Path(name).name for name in names]
    shown = last_parts if len({*last_parts}) == len({*names}) else names
    first = [_TableColumn(RUN, shown, None if is_cut else 40)] if shown else []
    of_keys, keys = [key for key in by if key != RUN], []
    for key, short in zip(of_keys, short_keys(of_keys), strict=True):
        cells = [NOTHING if row[key] in NULLS else in_brief(row[key]) for row in configurations]
        keys.append(_TableColumn(short, cells, 16))
    over = [
        "" if "label" in row else row["over"] or ("1 run" if row["runs"] else NOTHING)
        for row in (rows if has_over else ())
    ]
    unfinished = [row.get("not done") or "" for row in rows]
    averaged = [_TableColumn("over", over, WORDS_WIDTH)] if has_over else []
    last = [_TableColumn("not done", unfinished, WORDS_WIDTH)] if any(unfinished) else []
    metrics = [name for name in results.metrics if any(row[name] is not None for row in configurations)]
    scores = [_scores(rows, name) for name in metrics]

    def fits(*columns: _TableColumn) -> bool:
        return 1 + sum(column.width for column in (*first, *averaged, *last, *columns)) <= width

    if label or not (is_cut or fits(*keys, *scores[:FEWEST_METRICS])):
        cells = []
        for number in range(len(configurations)):
            known = {key.header: key.cells[number] for key in keys if key.cells[number] != NOTHING}
            cells.append(", ".join(f"{key}={value}" for key, value in known.items()) or "all runs")
        cells += [row["label"] for row in baselines]
        keys = [_TableColumn(label or "configuration", cells, 40)]
    while len(scores) > FEWEST_METRICS and not fits(*keys, *scores):
        scores.pop()
    columns = [*first, *keys, *averaged, *scores, *last]
    common = "" if has_over else overs.pop()
    mean = "mean ± SD" if any("±" in score.header for score in scores) else "mean"
    notes = [*([f"{mean} over {common}"] if common else []), *results.notes]
    table = RichTable(
        title=title, caption="\n".join(notes) or None, title_justify="left", caption_justify="left"
    )
    for column in columns:
        table.add_column(Text(column.header), overflow="fold", no_wrap=column.least is None)
    for number, texts in enumerate(zip(*(column.cells for column in columns), strict=True), 1):
        line = [Text(text, no_wrap=is_cut, overflow="ellipsis" if is_cut else None) for text in texts]
        table.add_row(*line, end_section=bool(baselines) and number == len(configurations))
    return table


def _scores(rows: Sequence[Row], metric: str) -> _TableColumn:
    cells = [format_mean(row.get(metric), row.get(f"{metric} SD"), metric) for row in rows]
    return _TableColumn(f"{metric}\n± SD" if any("±" in cell for cell in cells) else metric, cells)
