"""How the columns of a table are read, from Python."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from mlplab.api.composing import composing
from mlplab.api.keywords import Table, Target, arguments_as_overrides
from mlplab.cli.commands.describe import without_target
from mlplab.commands.describe import column_cells
from mlplab.commands.describe import describe as describe_table


def describe(
    table: Table = None, /, target: Target = None, *, overrides: Sequence[str] = (), **keys: Any
) -> pl.DataFrame:
    """A row for each column, as the command `describe`: its kind, values, and what may be wrong with it.

    Args:
        table, target, overrides, keys: as in `train`; a target is not needed.

    Raises:
        UserError: if the table cannot be read at all. Columns that training would refuse have a note.
    """
    frame, words = arguments_as_overrides(table, target, keys, overrides)
    with composing(words) as compose:
        config = without_target(compose(words))
    return pl.DataFrame(column_cells(describe_table(config, frame)))
