"""Shows how training would read the columns of a table, without training.

python scripts/describe.py data.path=my.csv [data.target=price] [data.columns.zip=categorical]

  data.path=PATH          a CSV (also .gz or .zst) or Parquet file, a folder of such files, or a pattern
  task=TASK               regression, binary or multiclass, instead of the task that the target suggests
  data.columns.NAME=KIND  numeric, boolean, categorical, date, a date format like %d.%m.%Y, or drop
  data/split=OPTION       and all other keys of scripts/train.py

The exit code is 2 if scripts/train.py would refuse the table or its split.
"""

from pathlib import Path

from mlplab.cli.describe_command import describe_command
from mlplab.config import TrainConfig
from mlplab.imports import heavy_imports


def describe(config: TrainConfig) -> None:
    """Prints a line for each column."""
    with heavy_imports():
        from rich.console import Console

        from mlplab.commands.describe import describe, description_grid, task_lines
        from mlplab.errors import UserError

    description = describe(config)
    console = Console()
    if not console.is_terminal:  # then lines need no wrapping
        console.width = 10_000
    console.print(f"{description.source}: {description.rows:,} rows", highlight=False, markup=False)
    console.print(description_grid(description, console.width))
    for line in task_lines(description):
        console.print(line, highlight=False, markup=False)
    if description.faults:
        raise UserError(*description.faults)


if __name__ == "__main__":
    describe_command(describe, conf=Path(__file__).resolve().parents[1] / "conf", name="train", usage=__doc__)
