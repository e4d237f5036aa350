"""Shows all given runs and sweeps, from the files in their folders: a ranking for each table and target.

python scripts/results.py outputs
python scripts/results.py outputs/sweep --by optimizer.lr --sort optimizer.lr
python scripts/results.py outputs/a outputs/b --by run --format csv > results.csv
python scripts/results.py outputs/sweep --watch
"""

import argparse
import sys
from pathlib import Path

from mlplab.cli.terminal import VERSION, exit_status, log_to_terminal, version_line


def results(arguments: argparse.Namespace) -> None:
    """Prints the table."""
    from rich.console import Console

    from mlplab.commands.results import read_runs, results_by_table, results_csv, results_of_search
    from mlplab.commands.results_table import results_table
    from mlplab.runs.selection import trials_in_order

    if arguments.watch:
        _watch(arguments)
    by = [key for key in arguments.by.split(",") if key] if arguments.by else None
    runs, console = read_runs(arguments.folders), Console()
    if arguments.format == "terminal" and by is None and trials_in_order(runs):
        console.print(results_table(results_of_search(runs, arguments.sort), console.width))
        return
    tables = results_by_table(runs, by, arguments.sort)
    if arguments.format == "csv":
        print(results_csv(tables), end="")
        return
    for results in tables:
        console.print(results_table(results, console.width, results.title if len(tables) > 1 else None))


def _watch(arguments: argparse.Namespace) -> None:
    """Shows a sweep or a run until it ends."""
    from rich.console import Console

    from mlplab.errors import Fault, UserError, listed
    from mlplab.sweeps.watch.watch import watch

    if arguments.format != "terminal":
        what, remedy = f"cannot be combined with --format {arguments.format}", "leave out one of them"
        raise UserError(Fault(what, "--watch", remedy=remedy))
    if len(arguments.folders) > 1:
        found, remedy = listed(map(str, arguments.folders)), "give the folder of one sweep"
        raise UserError(Fault("watches one folder", "--watch", found, remedy=remedy))
    console = Console()
    [folder] = arguments.folders
    watch(folder, console, live=sys.stdout.isatty() and not console.is_dumb_terminal)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument(
        "folders", nargs="+", type=Path, metavar="FOLDER", help="run or sweep folders, or outputs"
    )
    parser.add_argument(
        "--by",
        metavar="KEYS",
        help="comma-separated keys to group by; 'run' lists each run. Default: the keys in which runs "
        "differ, except seeds and folds, over which scores are averaged",
    )
    parser.add_argument(
        "--sort",
        metavar="NAME",
        help="a metric (best first), or a key of --by. Default: the validation metric of the runs",
    )
    parser.add_argument(
        "--watch",
        action="store_true",
        help="show a sweep while it trains, and its table at the end: in another terminal, or on any machine "
        "that sees the folder. Ctrl-C ends it",
    )
    parser.add_argument(VERSION, action="version", version=version_line())
    parser.add_argument("--format", choices=["terminal", "csv"], default="terminal")
    log_to_terminal("stderr")
    sys.exit(exit_status(lambda: results(parser.parse_args())))


if __name__ == "__main__":
    main()
