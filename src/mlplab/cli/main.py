"""Trains neural networks on tables, and uses what they have learned.

mlplab COMMAND [arguments]

  train       trains a network on a table; with -m, a sweep of networks
  describe    shows how the columns of a table are read, without training
  evaluate    scores a trained run again, or on another file
  predict     predicts the rows of a file
  export      writes a trained run as an ONNX model, which runs without mlplab
  results     compares runs and sweeps in one table
  report      writes one page about a run or a sweep

mlplab COMMAND --help shows the arguments of a command.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from mlplab.cli.exit_status import exit_status
from mlplab.cli.terminal import log_to_terminal, print_usage
from mlplab.errors import Fault, UserError, did_you_mean, nearest
from mlplab.imports import frozen_objects
from mlplab.typed_commands import COMMANDS


def main() -> NoReturn:
    """The program: runs the command that the first word names."""
    name, *words = sys.argv[1:] or [""]
    if name in COMMANDS:
        run(name, words)
    sys.exit(exit_status(lambda: _explain(name)))


@frozen_objects()
def run(name: str, words: Sequence[str] | None = None) -> NoReturn:
    """Runs a command with these words, or those that this process was given, and exits.

    Exit code: 0 on success; 2 if the user's input or configuration is wrong; 1 if a run failed, in a sweep
    after the others have trained; 128 + n on signal n.
    """
    log_to_terminal("stdout" if name == "train" else "stderr")
    words = sys.argv[1:] if words is None else words
    kind = {"train": "table", "describe": "table", "results": "compare", "report": "compare"}.get(name, "run")

    def work() -> None:
        getattr(import_module(f"mlplab.cli.{kind}_commands"), name)(words)

    sys.exit(exit_status(work))


def _explain(name: str) -> None:
    print_usage([name] if name else [], __doc__)
    remedy = did_you_mean(nearest(name, COMMANDS), "mlplab ")
    remedy = f"type the command first: mlplab train {name}" if "=" in name else remedy
    raise UserError(Fault("unknown command", "", name, f"one of {', '.join(COMMANDS)}", remedy))
