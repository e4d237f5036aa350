"""What all benchmarks share: arguments, checkouts of mlplab, times, tables, and the files at the end.

Everything runs on one core with one thread unless a benchmark says otherwise. Contenders are measured in
turn, again and again, so a slow minute of the machine affects all of them.
"""

import atexit
import ctypes
import json
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory, mkdtemp
from time import perf_counter
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import polars as pl
import psutil
from pydantic import BeforeValidator, Field
from rich.console import Console
from rich.table import Table
from rich.text import Text as RichText

from mlplab.commands.arguments import Arguments
from mlplab.config.types import Text
from mlplab.console import in_digits, print_line
from mlplab.errors import Fault, RunFailed, UserError

MEBIBYTE = 2**20
ROOT = Path(__file__).resolve().parents[2]  # the repository
PLAIN = (  # hidden layers alone, trained to the end
    *("model.activation=relu", "model.periodic_features=0", "model.piecewise_linear_bins=0"),
    *("model.linear_path=false", "callbacks.early_stopping.patience=null"),
)


@dataclass(frozen=True)
class Checkout:
    """A checkout of mlplab, whose scripts run with its source, in its environment if it has one."""

    name: str
    path: Path
    clock: Literal["wall", "cpu"]

    def run(self, *words: str, folder: Path | None = None, status: int = 0) -> float:
        """The seconds of `python WORD…`, where `train.py` is a script of this checkout."""
        with TemporaryDirectory() as new:
            others = set(psutil.Process().children())
            if sys.platform == "linux":
                ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: adopts those whose parent has ended
            start = self.now()
            self._output(words, folder or Path(new), status)
            end = self.now()
            while orphans := set(psutil.Process().children()) - others:
                psutil.wait_procs(orphans)  # the process from which workers were forked, and they, count
                end = self.now()
            return end - start

    def ask(self, function: str, *words: str, folder: Path | None = None) -> dict[str, Any]:
        """What a function such as `child.train` returns in a process with the source of this checkout."""
        with TemporaryDirectory() as new:
            printed = self._output(self.asking(function, *words), folder or Path(new))
        return json.loads(printed.splitlines()[-1])

    def asking(self, function: str, *words: str) -> tuple[str, ...]:
        return ("-c", "from benchmarks import child; child.main()", self.clock, function, *words)

    def now(self) -> float:
        """The moment, or the processor time of all processes that have ended, in seconds."""
        if self.clock == "wall":
            return perf_counter()
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    def command(self, *words: str) -> list[str]:
        python = self.path / ".venv/bin/python"
        first = str(self.path / "scripts" / words[0]) if words[0].endswith(".py") else words[0]
        is_other = self.path != ROOT and python.exists()
        return [str(python) if is_other else sys.executable, first, *words[1:]]

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"PYTHONPATH": f"{self.path / 'src'}{os.pathsep}{ROOT / 'scripts'}"}

    def _output(self, words: Sequence[str], folder: Path, status: int = 0) -> str:
        """What a process prints; raises RunFailed if it ends with another status."""
        how: dict[str, Any] = {"capture_output": True, "text": True, "check": False}
        ended = subprocess.run(self.command(*words), cwd=folder, env=self.environment, **how)
        if ended.returncode != status:
            what = f"{self.name}: {' '.join(words)} ended with status {ended.returncode}"
            raise RunFailed(f"{what}:\n{ended.stderr.strip()}")
        return ended.stdout


def new_folder() -> Path:
    """A folder that is deleted when this process ends."""
    folder = Path(mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def git(folder: Path, *words: str) -> str:
    command = ["git", "-C", os.fspath(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


Count = Annotated[int, Field(gt=0)]


def split(value: object) -> object:
    """The parts of a text with commas; none of `none`."""
    if value == "none":
        return ()
    return value.split(",") if isinstance(value, str) else value


def _variants(value: object) -> object:
    """`wide: model.hidden=[512,512]; long: trainer.max_epochs=800` as overrides by name."""
    if not isinstance(value, str):
        return value
    parts = [part.partition(":") for part in value.split(";") if part.strip()]
    if not all(name.strip() and colon for name, colon, _ in parts):
        raise ValueError("each variant needs a name, as in 'wide: model.hidden=[512,512]'")
    return {name.strip(): tuple(overrides.split()) for name, _, overrides in parts}


Counts = Annotated[tuple[Count, ...], BeforeValidator(split)]
Names = Annotated[tuple[Text, ...], BeforeValidator(split)]
Variants = Annotated[dict[str, tuple[str, ...]], BeforeValidator(_variants)]


class Benchmark(Arguments):
    repeats: Count = 3
    clock: Literal["wall", "cpu"] = "wall"
    output: Text | None = None
    tree: Text | None = None

    @property
    def checkouts(self) -> list[Checkout]:
        """This checkout, and the one it is compared with; raises UserError if the other is none."""
        ours = Checkout("mlplab", ROOT, self.clock)
        if not self.tree:
            return [ours]
        other = Path(self.tree).resolve()
        if not (other / "src/mlplab").is_dir():
            raise UserError(Fault("is not a checkout of mlplab", "tree", self.tree))
        commit = git(other, "rev-parse", "--short", "HEAD") or other.name
        return [ours, Checkout(f"mlplab {commit}", other, self.clock)]

    def file(self, suffix: str = "json") -> Path:
        """Where results are written, in a folder that exists."""
        path = Path(self.output or f"outputs/benchmarks/{type(self).__name__.lower()}.{suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write(self, content: object) -> Path:
        (path := self.file()).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")
        return path


Key = tuple[str, str]  # A case, which is a section of the table, and a contender, which is a row


class Times(NamedTuple):
    """Repeated measurements of one thing: `seconds`, and whatever else was measured with them."""

    answers: Sequence[Mapping[str, float]]

    def median(self, name: str = "seconds") -> float:
        return median(answer[name] for answer in self.answers)

    def ratio(self, base: "Times | None") -> str:
        """The median relative to another one, for a table."""
        return f"{digits(self.median() / base.median())}×" if base else ""

    @property
    def spread(self) -> str:
        """The shortest and the longest time, for a table."""
        seconds = [answer["seconds"] for answer in self.answers]
        low, high = map(show_seconds, (min(seconds), max(seconds)))
        return f"{low.removesuffix(high[high.index(' ') :])}–{high}"


Contender = Callable[[], float | Mapping[str, float]]  # returns its seconds, alone or with other measurements
Contenders = dict[Key, Contender]
digits = partial(in_digits, digits=3)


def alternate(contenders: Mapping[Key, Contender], repeats: int) -> dict[Key, Times]:
    """Measures each contender, one after another, `repeats` times; reports the seconds on stderr."""
    answers: dict[Key, list[Mapping[str, float]]] = {key: [] for key in contenders}
    for repeat in range(1, repeats + 1):
        for key, contender in contenders.items():
            answer = contender()
            answer = answer if isinstance(answer, Mapping) else {"seconds": answer}
            answers[key].append(answer)
            print(f"{repeat}/{repeats} {', '.join(key)}: {show_seconds(answer['seconds'])}", file=sys.stderr)
    return {key: Times(measured) for key, measured in answers.items()}


def comparison(
    title: str,
    times: Mapping[Key, Times],
    base: str,
    caption: str | None = None,
    **more: Callable[[Key], str],
) -> Table:
    """Medians, spreads, ratios to the contender `base` of the same case, and more columns, by row's keys."""
    rows = {}
    for key, measured in times.items():
        ratio, further = measured.ratio(times.get((key[0], base))), [each(key) for each in more.values()]
        rows[key] = [show_seconds(measured.median()), measured.spread, ratio, *further]
    return table_of(title, ["median", "min–max", f"of {base}", *more], rows, caption)


def relative(times: Mapping[Key, Times], other: str) -> Table:
    """Of each measurement, the median over all turns of its ratio to that of another checkout."""
    answers = {key: measured.answers for key, measured in times.items()}
    names = dict.fromkeys(name for measured in answers.values() for name in measured[0])
    rows = {}
    for key in (key for key in times if other in " ".join(key)):
        case, contender = (part.replace(other, "mlplab") for part in key)
        turns, cells = [*zip(answers[case, contender], answers[key], strict=True)], []
        for name in names:
            pairs = [(one[name], theirs[name]) for one, theirs in turns if theirs.get(name)]
            cells.append(f"{median(ours / before for ours, before in pairs):.3f}" if pairs else "")
        rows[case, contender] = cells
    return table_of(f"relative to {other}, in the same turn", [*names], rows)


def table_of(
    title: str, headers: Sequence[str], rows: Mapping[Key, Sequence[str]], caption: str | None = None
) -> Table:
    """A table with a section for each case."""
    table = Table(title=title, caption=caption, title_justify="left", caption_justify="left")
    table.add_column("", no_wrap=True)
    for header in headers:
        table.add_column(header, justify="right", overflow="fold")
    for case in dict.fromkeys(case for case, _ in rows):
        table.add_section()
        table.add_row(RichText(case, style="bold"))
        for key, cells in rows.items():
            if key[0] == case:
                table.add_row(f"  {key[1]}", *cells)
    return table


def report(arguments: Benchmark, times: Mapping[Key, Times], *tables: Table) -> None:
    """Prints the tables, and with `tree=` that of the ratios; writes all times to a file."""
    print_tables(*tables, *(relative(times, other.name) for other in arguments.checkouts[1:]))
    packages = {package.name: package.version for package in distributions()}
    of_times = [{"of": key, "answers": measured.answers} for key, measured in times.items()]
    facts = {"arguments": arguments.model_dump(), **machine(), "packages": packages, "times": of_times}
    print_line(Console(), f"all times: {arguments.write(facts)}")


def print_tables(*tables: Table | str) -> None:
    """Prints tables; where there is no terminal, with 80 columns."""
    console = Console(width=None if sys.stdout.isatty() else 80)
    console.print(*tables, sep="\n")


def show_seconds(seconds: float) -> str:
    """A duration in the unit that suits it: `1.23 ms`."""
    units = (("s", 1.0), ("ms", 1e3), ("µs", 1e6), ("ns", 1e9))
    unit, factor = next((each for each in units if abs(seconds) * each[1] >= 1), units[-1])
    return f"{digits(seconds * factor)} {unit}"


def write_table(path: Path, rows: int, columns: int = 21, *, mixed: bool = False) -> Path:
    """Writes a CSV file of numbers, the last Friedman's first function; mixed: with categories and a date."""
    drawn = np.random.default_rng(0)
    x = drawn.random((rows, columns - 1))
    y = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]
    frame = pl.DataFrame(x, schema=[f"x{number}" for number in range(columns - 1)])
    if mixed:
        days = np.datetime64("2020-01-01") + drawn.integers(0, 1500, rows).astype("timedelta64[D]")
        colours = drawn.choice(["red", "orange", "green", "blue", "violet"], (5, rows))
        named = [pl.Series(f"colour-{number}", colour) for number, colour in enumerate(colours)]
        frame = frame.with_columns(*named, pl.Series("day", days))
    with path.open("wb") as file:
        frame.with_columns(target=y + drawn.normal(size=rows)).write_csv(file, float_precision=6)
        os.fsync(file.fileno())  # or it would be written while others are timed
    return path


def needs(package: str) -> None:
    """Raises UserError if a package of the extra `bench` is not installed."""
    if not find_spec(package):
        raise UserError(Fault(f"needs {package}: uv run --extra bench scripts/benchmark.py …"))


def use_cores(count: int) -> None:
    """Binds this process and what it starts to the first cores, with one thread each; or raises UserError."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or each process that is timed would compile its modules
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"):
        os.environ[name] = "1"
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    cores = os.cpu_count() or 1
    if cores < count:
        raise UserError(Fault("needs more cores", found=str(cores), expected=str(count)))
    if sys.platform == "linux":
        os.sched_setaffinity(0, range(cores))
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


def machine() -> dict[str, Any]:
    """Where and when something is measured, and the commit."""
    info = Path("/proc/cpuinfo")
    text = info.read_text("utf-8") if info.exists() else ""
    model = re.search(r"^model name\s*:\s*(.*)", text, re.MULTILINE)
    commit, changed = git(ROOT, "rev-parse", "HEAD"), bool(git(ROOT, "status", "--porcelain"))
    cpu, now = model[1] if model else platform.machine(), datetime.now(UTC).isoformat(timespec="seconds")
    return {"date": now, "commit": commit, "changed": changed, "cpu": cpu}
