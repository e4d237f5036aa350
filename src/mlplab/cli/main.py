"""The program `mlplab`: chooses one of its commands."""

import sys
from importlib import import_module

from mlplab.cli.terminal import exit_status, print_usage
from mlplab.did_you_mean import did_you_mean, nearest
from mlplab.errors import Fault, UserError

SUMMARIES = {
    "train": "trains a network on a table; with -m, a sweep of networks",
    "describe": "shows how the columns of a table are read, without training",
    "evaluate": "scores a trained run again, or on another file",
    "predict": "predicts the rows of a file",
    "results": "compares runs and sweeps in one table",
    "report": "writes one page about a run or a sweep",
    "completion": "prints the script with which a shell completes these commands",
}
"""What each command does."""

USAGE = "\n".join(
    [
        "Trains neural networks on tables, and uses what they have learned.\n",
        "mlplab COMMAND [arguments]\n",
        *(f"  {name:<12}{summary}" for name, summary in SUMMARIES.items()),
        "\nmlplab COMMAND --help shows the arguments of a command.",
    ]
)


def main() -> None:
    """Runs the command that the first word names, and exits with its status."""
    name, *words = sys.argv[1:] or [""]
    if name in SUMMARIES:
        import_module(f"mlplab.cli.commands.{name}").main(words)
    status = exit_status(lambda: _answer(name))
    sys.exit(status if name else 2)


def _answer(name: str) -> None:
    """Prints the usage or the version.

    Raises:
        UserError: if there is no such command.
    """
    if not print_usage([name] if name else [], USAGE):
        remedy = did_you_mean(nearest(name, SUMMARIES), "mlplab ")
        remedy = f"type the command first: mlplab train {name}" if "=" in name else remedy
        raise UserError(
            Fault("unknown command", found=name, expected=f"one of {', '.join(SUMMARIES)}", remedy=remedy)
        )
