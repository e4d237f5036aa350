"""How the columns of a table are read, from Python."""

from collections.abc import Sequence

import polars as pl

from mlplab.api.keywords import Table, Target, read_arguments
from mlplab.commands.describe import Description, column_rows
from mlplab.composition.compose import composing, without_target
from mlplab.composition.config_folders import config_folders


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
    with composing(config_folders()) as compose:
        config = without_target(compose(given))
    return pl.DataFrame([*column_rows(Description(config, frame))], infer_schema_length=None)
