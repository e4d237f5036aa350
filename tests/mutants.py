"""Puts each fault of mutants.toml into a copy of the code, and runs the tests that must catch it.

    uv run tests/mutants.py [PART OF A NAME ...]

The exit status is 1 if a fault is not caught, if its place in the code is not found, or if the tests fail
without any fault.
"""

import multiprocessing
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("src", "conf", "scripts", "tests", "pyproject.toml")
OUTPUT = "output.txt"
AT_A_TIME = 2
LONGEST_SECONDS = 600
PASSED, FAILED = 100, 101
"""The exit status of pytest + 100: without that, Python's own 1 could be taken for a test that failed."""
PROCESSES = multiprocessing.get_context("forkserver")
PRELOADED = (
    *("pytest", "torch", "lightning.pytorch", "torchmetrics", "polars", "hydra", "pydantic", "rich.console"),
    *("sklearn.ensemble", "sklearn.linear_model", "sklearn.compose", "optuna", "altair", "tensorboard"),
)
"""Imported once for all tests: it takes longer than most of them."""


@dataclass(frozen=True)
class Mutant:
    """A fault: the law that it breaks, the text that it replaces, and the tests that must catch it."""

    name: str
    file: str
    old: str
    new: str
    tests: str

    def places(self) -> int:
        """How often the text is in the file, which must be once."""
        path = ROOT / self.file
        return path.read_text(encoding="utf-8").count(self.old) if path.is_file() else 0


def mutants() -> list[Mutant]:
    content = tomllib.loads((ROOT / "tests/mutants.toml").read_text(encoding="utf-8"))
    return [Mutant(**each) for each in content["mutant"]]


def _copy(folder: Path) -> Path:
    """Copies the code, so that a command that is killed leaves the original as it was."""
    listed = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *COPIED)
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in names:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder


def _pytest(root: Path, tests: Sequence[str]) -> None:
    """Runs tests on a copy of the code, in a process of its own."""
    output = os.open(root / OUTPUT, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(output, sys.stdout.fileno())
    os.dup2(output, sys.stderr.fileno())
    os.chdir(root)
    os.environ |= {"PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"}
    sys.path.insert(0, str(root / "src"))  # before the place where the project is installed

    import pytest

    preloaded = "ignore::pytest.PytestAssertRewriteWarning"
    status = pytest.main(["-x", "-q", "-n0", "-p", "no:cacheprovider", "-W", preloaded, *tests])

    import mlplab

    assert str(mlplab.__file__).startswith(str(root)), mlplab.__file__
    sys.exit(PASSED + int(status))


def _status(root: Path, tests: Sequence[str]) -> int | None:
    """The exit status of tests on a copy of the code, with their output on the terminal unless they ran."""
    process = PROCESSES.Process(target=_pytest, args=(root, tests))
    process.start()
    process.join(LONGEST_SECONDS)
    process.kill()
    process.join()
    if process.exitcode not in (PASSED, FAILED):
        print((root / OUTPUT).read_text(errors="replace"))
    return process.exitcode


def _write(path: Path, content: str) -> None:
    path.write_text(content, encoding="utf-8")
    for compiled in path.parent.glob(f"__pycache__/{path.stem}.*"):  # which may be as old and as long
        compiled.unlink()


def main(parts: Sequence[str]) -> int:
    """Runs the mutants with one of these parts in their names, or all; the exit status."""
    chosen = [each for each in mutants() if not parts or any(part in each.name for part in parts)]
    PROCESSES.set_forkserver_preload(list(PRELOADED))
    with TemporaryDirectory() as folder, ThreadPoolExecutor(AT_A_TIME) as pool:
        roots = [_copy(Path(folder).resolve() / str(number)) for number in range(AT_A_TIME)]
        tests = list(dict.fromkeys(each.tests for each in chosen))
        shares = [tests[number::AT_A_TIME] for number in range(min(AT_A_TIME, len(tests)))]
        for root, status in zip(roots, pool.map(_status, roots, shares), strict=False):
            if status != PASSED:
                print((root / OUTPUT).read_text(errors="replace"))
                print("the tests fail without any fault")
                return 1

        def is_caught(mutant: Mutant) -> bool:
            root, started = roots.pop(), time.monotonic()
            path = root / mutant.file
            text = path.read_text(encoding="utf-8")
            _write(path, text.replace(mutant.old, mutant.new))
            status = _status(root, [mutant.tests]) if mutant.places() == 1 else None
            _write(path, text)
            roots.append(root)
            result = {FAILED: "caught", PASSED: "SURVIVED"}.get(status or 0, "NOT RUN")
            print(f"{time.monotonic() - started:5.1f} s  {mutant.name}: {result}", flush=True)
            return status == FAILED

        caught = sum(pool.map(is_caught, chosen))
    print(f"{caught} of {len(chosen)} faults are caught")
    return int(caught < len(chosen))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
