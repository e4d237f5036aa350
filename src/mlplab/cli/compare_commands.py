"""The commands that compare runs, from the files in their folders: their usage and their output."""

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from mlplab.cli.terminal import print_usage
from mlplab.imports import heavy_imports
from mlplab.typed_commands import command_line, inside


def results(words: Sequence[str]) -> None:
    """Compares runs and sweeps: a ranking for each table and target.

    mlplab results outputs
    mlplab results outputs/sweep --by optimizer.lr --sort optimizer.lr
    mlplab results outputs/a outputs/b --by run --format csv > results.csv

      FOLDER …      of runs or sweeps, or outputs; or files NAME.mlplab
                    Several have a line each: of a sweep, that of its best configuration
      --by KEYS     keys to group by, with commas between them, or `run`; of one sweep,
                    all that vary by default, but seeds and folds
      --sort NAME   a metric (best first), or a key of --by; by default the
                    validation metric of the runs
      --format csv  prints all digits
    """
    print_usage(words, results.__doc__)
    parser = ArgumentParser(command_line("results"), add_help=False, allow_abbrev=False)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--by", metavar="KEYS")
    parser.add_argument("--sort", metavar="NAME")
    parser.add_argument("--format", choices=["terminal", "csv"], default="terminal")
    arguments = parser.parse_args(words)

    from rich.console import Console

    from mlplab.commands.results import (
        by_folder,
        read_runs,
        results_by_folder,
        results_by_table,
        results_csv,
        results_of_search,
    )
    from mlplab.commands.results_table import results_table
    from mlplab.runs.compare.run_result import by_table, trials_in_order

    console = Console()
    by = [key for key in arguments.by.split(",") if key] if arguments.by else None
    runs = read_runs(arguments.folders)
    if arguments.format == "csv":
        print(results_csv(results_by_table(runs, by, arguments.sort)), end="")
        return
    if by is None and trials_in_order(runs):
        tables = [results_of_search(runs, arguments.sort)]
    elif by or arguments.sort or len(by_folder(runs)) == 1:
        tables = results_by_table(runs, by, arguments.sort)
    else:
        tables = [*map(results_by_folder, by_table(runs))]
    for table in tables:
        console.print(results_table(table, console.width, table.title if len(tables) > 1 else None))


def report(words: Sequence[str]) -> None:
    """Writes one page about a run, a sweep, or a folder of them: FOLDER/report.html.

    mlplab report FOLDER

      FOLDER  of a run or a sweep, or outputs; or a file NAME.mlplab, for NAME.report.html
    """
    print_usage(words, report.__doc__)
    parser = ArgumentParser(command_line("report"), add_help=False, allow_abbrev=False)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    arguments = parser.parse_args(words)

    with heavy_imports():
        from mlplab.commands.report.report import report as write_page

    path = write_page(arguments.folder)
    print(f"{inside(path)} ({path.stat().st_size / 1e6:.1f} MB)")
