"""Shows the columns of a table as training would take them, without training.

python scripts/describe.py data=csv data.path=my.csv
python scripts/describe.py data=csv data.path=my.csv data.target=price data.columns.zip=categorical

  data.path=PATH          a CSV or Parquet file, CSV also as .gz or .zst; a folder of such, or a pattern
  data.target=COLUMN      if given, is looked at as such
  data.columns.NAME=KIND  numeric, boolean, categorical, date, a date's format as %d.%m.%Y, or drop
    data/split=OPTION       and all other keys that scripts/train.py takes

Ends as scripts/train.py would with the same keys: with status 2 where the table or its split is refused.
"""

from pathlib import Path

from mlplab.cli.describe_command import describe_command
from mlplab.config import DescribeConfig
from mlplab.imports import heavy_imports


def describe(config: DescribeConfig) -> None:
    """Prints a line for each column."""
    with heavy_imports():
        from rich.console import Console

        from mlplab.commands.describe import describe, description_grid
        from mlplab.errors import UserError

    description = describe(config)
    console = Console()
    if not console.is_terminal:  # then nothing need be folded
        console.width = 10_000
    console.print(f"{description.source}: {description.rows:,} rows", highlight=False, markup=False)
    console.print(description_grid(description))
    if description.faults:
        raise UserError(*description.faults)


if __name__ == "__main__":
    describe_command(describe, conf=Path(__file__).resolve().parents[1] / "conf", name="train", usage=__doc__)
