"""Measures mlplab beside its peers, on one core.

python scripts/benchmark.py QUESTION key=value …
python scripts/benchmark.py startup repeats=5 tree=../before

  of all questions (of hashes: tree and output):
    repeats=N      measurements of each contender, in turn with the others
    tree=FOLDER    another checkout of mlplab, which is measured too, with its own source and environment
    clock=cpu      processor time instead of the time that passes: for machines that do other work
    output=FILE    for all times; default: outputs/benchmarks/QUESTION.json
"""

import ast
import sys
from importlib import import_module
from pathlib import Path

from benchmarks.harness import use_cores

from mlplab.cli.exit_status import exit_status
from mlplab.cli.read_arguments import read_arguments
from mlplab.cli.terminal import print_usage
from mlplab.errors import Fault, UserError

QUESTIONS = ("step", "sweep", "quality", "predict", "export", "csv", "search", "startup", "hashes")


def benchmark(words: list[str]) -> None:
    """Measures, prints the table, and writes the file; raises UserError if an argument is wrong."""
    files = [Path(__file__).parent / f"benchmarks/{name}.py" for name in QUESTIONS]
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
    print_usage(words, "\n".join([__doc__, *(str(ast.get_docstring(tree, clean=False)) for tree in trees)]))
    name, *rest = words
    if name not in QUESTIONS:
        raise UserError(Fault("unknown benchmark", found=name, expected=f"one of {', '.join(QUESTIONS)}"))
    use_cores(1)  # before numeric libraries count their threads
    module = import_module(f"benchmarks.{name}")
    module.measure(read_arguments(rest, getattr(module, name.capitalize())))


if __name__ == "__main__":
    sys.exit(exit_status(lambda: benchmark(sys.argv[1:])))
