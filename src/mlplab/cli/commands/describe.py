"""Shows how training would read the columns of a table, without training.

mlplab describe data.path=my.csv [data.target=price] [data.columns.zip=categorical]

  data.path=PATH          a CSV (also .gz or .zst) or Parquet file, a folder of such files, or a pattern
  task=TASK               regression, binary or multiclass, instead of the task that the target suggests
  data.columns.NAME=KIND  numeric, boolean, categorical, date, a date format like %d.%m.%Y, or drop
  data/split=OPTION       and all other keys of training

The exit code is 2 if training would refuse the table or its split.
"""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from mlplab.cli.compose import composing, plain, read_command_line
from mlplab.cli.config_folders import SHIPPED
from mlplab.cli.overrides import read_overrides
from mlplab.config import TrainConfig, parse
from mlplab.imports import heavy_imports


def main(words: Sequence[str], conf: Path = SHIPPED) -> None:
    """Composes a configuration as train does, and describes its table, which needs no target."""
    words, _, folders = read_command_line(words, conf, __doc__)
    overrides = read_overrides(words)
    with composing(folders) as compose:
        config = without_target(compose(overrides))
    with heavy_imports():
        from rich.console import Console

        from mlplab.commands.describe import Description, description_grid, task_lines
        from mlplab.errors import UserError

    description = Description(config)
    console = Console()
    if not console.is_terminal:  # then lines need no wrapping
        console.width = 10_000
    console.print(f"{description.source}: {description.rows:,} rows", highlight=False, markup=False)
    console.print(description_grid(description, console.width))
    for line in task_lines(description):
        console.print(line, highlight=False, markup=False)
    if description.faults:
        raise UserError(*description.faults)


def without_target(cfg: DictConfig) -> TrainConfig:
    """A composed configuration, which needs no target."""
    if OmegaConf.is_missing(cfg.data, "target"):
        cfg.data.target = []
    return parse(plain(cfg))
