"""How the columns of a table are read, from Python."""

from collections.abc import Sequence

import polars as pl

from mlplab.api.keywords import Table, Target, read_arguments
from mlplab.commands.describe import column_rows, described
from mlplab.composition.compose import compose_run


def describe(
    table: Table = None, /, target: Target = None, *, overrides: Sequence[str] = (), **keys: object
) -> pl.DataFrame:
    """A row for each column, as the command `describe`: its kind, values, and what may be wrong with it.

    Args:
        table, target, overrides, keys: as in `train`; a target is not needed.

    Raises:
        UserError: if the table cannot be read at all. Columns that training would refuse have a note.
    """
    frame, given = read_arguments(table, target, keys, overrides)
    description = described(compose_run(given), frame)
    return pl.DataFrame([*column_rows(description)], infer_schema_length=None)
