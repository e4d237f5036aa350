"""Column names of a CSV file."""

import logging
import re
from collections import Counter
from collections.abc import Sequence

from mlplab.data.io.dialect import Dialect
from mlplab.errors import Fault, UserError, listed

log = logging.getLogger(__name__)

ROW_INDEX = ""
"""The name of a first column without a name: the row index of pandas and R, which is not an input."""


def column_names(first_row: Sequence[str], dialect: Dialect, where: str) -> list[str]:
    """The names in the header, stripped and without line breaks, or column_1, … if there is no header.

    The `first_row` is the first line that is not empty; it has no fields if the file is empty.

    Raises:
        UserError: if the file is empty, a name is not unique, or a column other than the first has no name.
    """
    if not first_row:
        raise UserError(Fault("is empty", where, expected="a header line and rows of data"))
    if not dialect.header:
        return [f"column_{number}" for number in range(1, len(first_row) + 1)]
    row = [ROW_INDEX, *first_row] if dialect.short_header else first_row
    names = [re.sub(r"\s*\n\s*", " ", name.strip()) for name in row]
    faults = [
        Fault(f"has {count} columns '{name}'", where, remedy="give each column a unique name")
        for name, count in Counter(filter(None, names)).items()
        if count > 1
    ]
    if blank := [str(number) for number, name in enumerate(names[1:], 2) if not name]:
        remedy = "give it a name in the header, or remove the delimiter at the end of each line"
        faults.append(Fault(f"has no name for column {listed(blank)}", where, remedy=remedy))
    if faults:
        raise UserError(*faults)
    if cleaned := [name for name, written in zip(names, row, strict=True) if name and name != written]:
        log.warning("%s: removed spaces or line breaks from column names: %s", where, listed(cleaned))
    return names
