"""What all benchmarks share: arguments, times, tables, and the files at the end.

Everything runs on one core with one thread unless a benchmark says otherwise. Contenders are measured in
turn, again and again, so a slow minute of the machine affects all of them.
"""

import json
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Literal

import numpy as np
import polars as pl
from pydantic import BeforeValidator, Field
from rich.console import Console
from rich.table import Table
from rich.text import Text as RichText

from benchmarks.checkout import ROOT, Checkout, git
from mlplab.commands.arguments import Arguments
from mlplab.config.types import Text
from mlplab.console import print_line
from mlplab.errors import Fault, UserError

TERMINAL_COLUMNS = 80

MEBIBYTE = 2**20

ROWS_AT_ONCE = 100_000
"""Rows of a table that are drawn at a time."""

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
    """The arguments of all benchmarks."""

    repeats: Count = 3
    clock: Literal["wall", "cpu"] = "wall"
    output: Text | None = None
    tree: Text | None = None

    @property
    def checkouts(self) -> list[Checkout]:
        """This checkout, and the one it is compared with.

        Raises:
            UserError: if the other is none.
        """
        ours = Checkout("mlplab", ROOT, self.clock)
        if not self.tree:
            return [ours]
        other = Path(self.tree).resolve()
        if not (other / "src/mlplab").is_dir():
            raise UserError(Fault("is not a checkout of mlplab", "tree", self.tree))
        commit = git(other, "rev-parse", "--short", "HEAD") or other.name
        return [ours, Checkout(f"mlplab {commit}", other, self.clock)]

    def titled(self, contender: str) -> list[tuple[str, Checkout]]:
        """A contender in each checkout, by its title: of the other one, with the commit."""
        first, *others = self.checkouts
        return [(contender, first), *((f"{contender}, {other.name}", other) for other in others)]


Key = tuple[str, str]
"""A case, which is a section of the table, and a contender, which is a row."""


@dataclass(frozen=True)
class Times:
    """Repeated measurements of one thing: `seconds`, and whatever else was measured with them."""

    answers: Sequence[Mapping[str, float]]

    def median(self, name: str = "seconds") -> float:
        """The median of what was measured."""
        return median(answer[name] for answer in self.answers)

    @property
    def spread(self) -> str:
        """The shortest and the longest time, for a table."""
        seconds = [answer["seconds"] for answer in self.answers]
        low, high = map(show_seconds, (min(seconds), max(seconds)))
        return f"{low.removesuffix(high[high.index(' ') :])}–{high}"


Contender = Callable[[], float | Mapping[str, float]]
"""Returns its seconds, alone or with other measurements."""


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
    more: Mapping[str, Callable[[Key], str]] | None = None,
    caption: str | None = None,
) -> Table:
    """Medians, spreads, and ratios to the contender `base` of the same case.

    Args:
        more: further columns by their headers, as functions of the key of the row.
    """
    rows = {}
    for key, measured in times.items():
        of_base = times.get((key[0], base))
        ratio = f"{digits(measured.median() / of_base.median())}×" if of_base else ""
        further = [function(key) for function in (more or {}).values()]
        rows[key] = [show_seconds(measured.median()), measured.spread, ratio, *further]
    return table_of(title, ["median", "min–max", f"of {base}", *(more or {})], rows, caption)


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


def report(arguments: Benchmark, tables: Sequence[Table], times: Mapping[Key, Times], **facts: Any) -> None:
    """Prints the tables, and writes all times and further facts to a file."""
    print_tables(tables)
    path = Path(arguments.output or f"outputs/benchmarks/{type(arguments).__name__.lower()}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        **{"arguments": arguments.model_dump(), **machine(), **facts},
        "packages": {package.name: package.version for package in distributions()},
        "times": [{"of": key, "answers": measured.answers} for key, measured in times.items()],
    }
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print_line(Console(), f"all times: {path}")


def print_tables(tables: Sequence[Table]) -> None:
    """Prints tables; where there is no terminal, with 80 columns."""
    console = Console(width=None if sys.stdout.isatty() else TERMINAL_COLUMNS)
    console.print(*tables, sep="\n")


class ScoreFile:
    """Lines of JSON: of what a score is, the score, and the machine; none is measured again.

    Raises:
        UserError: if a line is not a score.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._machine, self._scores = path, machine(), dict[str, dict[str, Any]]()
        path.parent.mkdir(parents=True, exist_ok=True)
        for number, line in enumerate(path.read_text("utf-8").splitlines() if path.exists() else [], 1):
            try:
                score = json.loads(line)
                self._scores[json.dumps(score["of"])] = score["score"]
            except (ValueError, TypeError, KeyError):
                remedy = "delete this line, or give another file: output=…"
                raise UserError(Fault("is not a score", f"{path}, line {number}", remedy=remedy)) from None

    def get(self, of: Mapping[str, Any]) -> dict[str, Any] | None:
        """The score, if it is known."""
        return self._scores.get(json.dumps(of))

    def add(self, of: Mapping[str, Any], score: dict[str, Any], shown: str) -> None:
        """Writes a score, and shows it on stderr."""
        self._scores[json.dumps(of)] = score
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"of": of, "score": score, "machine": self._machine}) + "\n")
        print(shown, file=sys.stderr)


def show_seconds(seconds: float) -> str:
    """A duration in the unit that suits it: `1.23 ms`."""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6), ("ns", 1e9)):
        if abs(seconds) * factor >= 1 or unit == "ns":
            break
    return f"{digits(seconds * factor)} {unit}"


def digits(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def write_table(path: Path, rows: int, columns: int = 21, *, mixed: bool = False) -> Path:
    """Writes a CSV file of numbers; the last column is Friedman's first function of others, with noise.

    Args:
        mixed: adds five columns of categories, and a date.
    """
    with path.open("wb") as file:
        for start in range(0, rows, ROWS_AT_ONCE):
            drawn = np.random.default_rng(start)
            x = drawn.random((min(ROWS_AT_ONCE, rows - start), columns - 1))
            y = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2
            y += 10 * x[:, 3] + 5 * x[:, 4]
            frame = pl.DataFrame(x, schema=[f"x{number}" for number in range(columns - 1)])
            if mixed:
                days = np.datetime64("2020-01-01") + drawn.integers(0, 1500, len(x)).astype("timedelta64[D]")
                colours = drawn.choice(["red", "orange", "green", "blue", "violet"], (5, len(x)))
                named = [pl.Series(f"colour-{number}", colour) for number, colour in enumerate(colours)]
                frame = frame.with_columns(*named, pl.Series("day", days))
            frame = frame.with_columns(pl.Series("target", y + drawn.normal(size=len(x))))
            frame.write_csv(file, include_header=not start, float_precision=6)
        os.fsync(file.fileno())  # or it would be written while others are timed
    return path


def needs(name: str, *packages: str) -> None:
    """Raises UserError if a package of the extra `bench` is not installed."""
    if missing := [package for package in packages if not find_spec(package)]:
        raise UserError(Fault(f"needs {missing[0]}: uv run --extra bench scripts/benchmark.py {name}"))


def use_cores(count: int) -> None:
    """Binds this process, and those that it starts from now on, to the first cores; with one thread each.

    Raises:
        UserError: if there are fewer cores.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or each process that is timed would compile its modules
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"):
        os.environ[name] = "1"
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    cores = range(os.cpu_count() or 1)
    if len(cores) < count:
        raise UserError(Fault("needs more cores", found=str(len(cores)), expected=str(count)))
    if sys.platform == "linux":
        os.sched_setaffinity(0, cores)
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


def machine() -> dict[str, Any]:
    """Where and when something is measured, and the commit."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    commit, changed = git(ROOT, "rev-parse", "HEAD"), bool(git(ROOT, "status", "--porcelain"))
    cpu, now = next(iter(models), platform.machine()), datetime.now(UTC).isoformat(timespec="seconds")
    return {"date": now, "commit": commit, "changed": changed, "cpu": cpu}
