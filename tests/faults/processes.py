"""Real processes that end badly: commands in children of a server that has imported torch already."""

import contextlib
import multiprocessing
import os
import runpy
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from support import ROOT

HERE = Path(__file__).parent
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["mlplab.runs.train_runs", "mlplab.sweeps.launch", "mlplab.cli.table_commands"])


@dataclass
class Command:
    """A command at work in its own process; what it prints goes to a file."""

    process: ForkServerProcess
    printed: Path

    def wait(self, timeout: float = 600) -> int:
        """Its status when it has ended; minus the signal that killed it."""
        self.process.join(timeout)
        assert self.process.exitcode is not None, self.output()
        return self.process.exitcode

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, number)

    def output(self) -> str:
        return self.printed.read_text(encoding="utf-8")


def start(words: Sequence[str], cwd: Path, **environment: str) -> Command:
    cwd.mkdir(parents=True, exist_ok=True)
    printed = cwd.parent / f"{cwd.name}-{time.monotonic_ns()}.printed"
    printed.touch()  # it may be killed before it opens it
    process = FORKS.Process(target=_main, args=(list(words), cwd, environment, printed))
    process.start()
    return Command(process, printed)


def run(words: Sequence[str], cwd: Path, **environment: str) -> tuple[int, str]:
    command = start(words, cwd, **environment)
    return command.wait(), command.output()


def _main(words: list[str], cwd: Path, environment: Mapping[str, str], printed: Path) -> None:
    os.chdir(cwd)
    os.environ.update(environment)
    sys.path.insert(0, os.fspath(HERE))  # where a user's own networks would be
    script = ROOT / "scripts" / f"{words[0]}.py"
    sys.argv = [os.fspath(script), *words[1:]]
    with printed.open("w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
        with contextlib.suppress(BrokenPipeError):
            runpy.run_path(os.fspath(script), run_name="__main__")
