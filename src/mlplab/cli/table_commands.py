"""The commands that read a table: train, of a run, a resumed run or a sweep; and describe."""

import shlex
import signal
from collections.abc import Sequence
from pathlib import Path

from mlplab.cli.read_command_line import read_command_line
from mlplab.cli.terminal import log_loading
from mlplab.composition.compose import compose_run, composing, folder_of, plain
from mlplab.composition.overrides import RESUME, keys_of, read_overrides
from mlplab.composition.resumed_run import resumed
from mlplab.config import TrainConfig, parse
from mlplab.errors import Interrupted, UserError
from mlplab.imports import heavy_imports
from mlplab.runs.discovery import FILM_FILE
from mlplab.typed_commands import inside, tensorboard_command


def train(words: Sequence[str]) -> None:
    """Composes a configuration from mlplab's folder `conf`, the user's and the command line, and trains."""
    words, multirun, folders = read_command_line(words)
    overrides = read_overrides(words, multirun=multirun)
    by_key = {each.key_or_group: each for each in overrides}
    if resume := by_key.pop(RESUME, None):
        folder = Path(str(resume.value()))
        _train(resumed(folder, by_key.values(), multirun=multirun), folder, resume=True)
        return
    if not multirun:
        with composing(folders) as compose:
            cfg = compose(overrides)
            run, folder = parse(plain(cfg)), folder_of(cfg, "hydra.run.dir", keys_of(overrides))
        _train(run, folder)
        return
    from rich.console import Console

    from mlplab.composition.compose_sweep import compose_sweep  # it imports polars
    from mlplab.data.cache import DataCache
    from mlplab.sweeps.sweep import sweep

    composed = compose_sweep(overrides, folders)
    log_loading("torch and the tables of the sweep")
    try:
        sweep(composed, DataCache(), Console(), Console())
    except (Interrupted, KeyboardInterrupt) as error:
        is_named = {"name", "hydra.sweep.dir"} & keys_of(overrides)
        more = "" if is_named else " with " + shlex.quote(f"hydra.sweep.dir={inside(composed.root)}")
        what, number = str(error) or "stopped by SIGINT", getattr(error, "number", signal.SIGINT)
        raise Interrupted(f"{what}\n  to continue: the same command{more}", number) from error


def _train(run: TrainConfig, folder: Path, *, resume: bool = False) -> None:
    with heavy_imports():
        from rich.console import Console

        from mlplab.commands.render import tensorboard_folder
        from mlplab.commands.train import draw_if_asked, print_scores, train
        from mlplab.console import print_line
        from mlplab.data.cache import DataCache

    cache, console = DataCache(), Console()
    metrics = train(run, folder, cache, console, resume=resume)
    try:
        draw_if_asked(run, folder, metrics, cache)
    finally:  # a full disk or Ctrl-C takes only the figures
        print_scores(metrics, console, has_class_weights=run.data.class_weights != "none")
        film = [f"film: {inside(folder / FILM_FILE)}"] if (folder / FILM_FILE).is_file() else []
        tensorboard = tensorboard_command(tensorboard_folder(folder))
        print_line(console, f"run folder: {inside(folder)}", *film, tensorboard)


def describe(words: Sequence[str]) -> None:
    """Shows how training would read the columns of a table, without training.

    mlplab describe data.path=my.csv [data.target=price] [data.columns.zip=categorical]

      data.path=PATH          a CSV (also .gz or .zst) or Parquet file, a folder of such files, or a pattern
      task=TASK               regression, binary or multiclass, instead of the task that the target suggests
      data.columns.NAME=KIND  numeric, boolean, categorical, date, a date format like %d.%m.%Y, or drop
      data/split=OPTION       and all other keys of training

    The exit code is 2 if training would refuse the table or its split.
    """
    words, _, folders = read_command_line(words, describe.__doc__)
    overrides = read_overrides(words)
    config = compose_run(overrides, folders)
    with heavy_imports():
        from rich.console import Console

        from mlplab.commands.describe import described, description_grid, task_lines

    description, console = described(config), Console()
    if not console.is_terminal:  # then lines need no wrapping
        console.width = 10_000
    console.print(f"{description.source}: {description.rows:,} rows", highlight=False, markup=False)
    console.print(description_grid(description, console.width))
    for line in task_lines(description):
        console.print(line, highlight=False, markup=False)
    if description.faults:
        raise UserError(*description.faults)
