"""A search that is killed and restarted by the same command again and again, beside one left alone."""

import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import time
from typing import Annotated, Any, NamedTuple

from pydantic import Field
from rich.table import Table

from benchmarks.arguments import Count, Reported
from benchmarks.child import seconds_of
from benchmarks.machine import ROOT
from benchmarks.report import Report, grid
from benchmarks.search.command import SHAPE, search_words
from benchmarks.search.folder import best_of, curve_of, metrics_of, trials_of
from benchmarks.timing import Times
from mlplab.errors import RunFailed

Facts = dict[str, Any]

ENDED = ("done", "pruned", "diverged", "failed")
"""The statuses of trials that are not resumed."""


class Kills(Reported):
    """The arguments of this benchmark."""

    kills: Count = 10
    trials: Count = 64
    batch: Count = 8
    epochs: Count = 600
    seed: Annotated[int, Field(ge=0)] = 0


class Stamp(NamedTuple):
    """A metrics.json at a moment."""

    modified: int
    hash: str
    metrics: Mapping[str, Any]

    @property
    def untested(self) -> dict[str, Any]:
        """Without what the test of the best trial adds."""
        return {name: value for name, value in self.metrics.items() if "test/" not in name}


def measure(arguments: Kills) -> Report:
    """Searches undisturbed, then with kills, and compares what both leave."""
    with TemporaryDirectory() as name:
        calm, killed = Path(name, "calm"), Path(name, "killed")
        sizes = arguments.trials, arguments.epochs, arguments.seed
        words = *SHAPE, f"sweep.batch={arguments.batch}"
        start = time()
        seconds = seconds_of("the search", *search_words(calm, *sizes, *words))
        first = curve_of(trials_of(calm))[0][0] - start
        # Most kills are to hit trials and not the start before them, and to leave some for the next.
        latest, drawn = first + (seconds - first) / arguments.kills, Random(arguments.seed)
        delays = [drawn.uniform(first / 2, latest) for _ in range(arguments.kills)]
        kills, ended = _killed(killed, search_words(killed, *sizes, *words), delays)
        later = changed(ended, stamps_of(killed))
        columns = {"left alone": left_by(calm), "killed": left_by(killed)}
        columns["killed"] |= {
            "kills": kills,
            "trials that had ended before a kill": len(ended),
            "of these changed later": len(later),
            "trials equal to those left alone": equal_trials(calm, killed),
        }
    facts = {**columns, "delays": delays, "changed": later}
    return Report(arguments, [_table(arguments, columns)], {("left alone",): Times([seconds])}, facts)


def stamps_of(sweep: Path) -> dict[str, Stamp]:
    """Of the trials that have ended."""
    stamps = {}
    for name, metrics in metrics_of(sweep).items():
        path = sweep / name / "metrics.json"
        if metrics["status"] in ENDED:
            stamps[name] = Stamp(path.stat().st_mtime_ns, sha256(path.read_bytes()).hexdigest(), metrics)
    return stamps


def changed(before: Mapping[str, Stamp], after: Mapping[str, Stamp]) -> list[str]:
    """The trials whose metrics.json is another one, except for the test of the best."""

    def same(old: Stamp, new: Stamp | None) -> bool:
        return old == new or (new is not None and old.metrics == new.untested != new.metrics)

    return [name for name, old in before.items() if not same(old, after.get(name))]


def left_by(sweep: Path) -> Facts:
    """What is counted of a search that has ended."""
    trials = trials_of(sweep)
    return {
        "trials in the study": len(trials),
        "of these not ended": sum(not trial.state.is_finished() for trial in trials),
        "numbers without a gap": [trial.number for trial in trials] == [*range(len(trials))],
        "folders of trials": len(metrics_of(sweep)),
        "best value": float(f"{best_of(sweep)['value']:.6g}"),
    }


def equal_trials(one: Path, other: Path) -> int:
    """How many trials of two searches have the same parameters, state and value."""

    def counted(sweep: Path) -> Counter[str]:
        trials = trials_of(sweep)
        return Counter(repr((sorted(each.params.items()), each.state, each.values)) for each in trials)

    return (counted(one) & counted(other)).total()


def _killed(sweep: Path, command: list[str], delays: list[float]) -> tuple[int, dict[str, Stamp]]:
    """Starts a search again until it ends by itself.

    Returns how often it was killed, and the trials that had ended before a kill, as they were then.
    """
    ended: dict[str, Stamp] = {}
    for kills, delay in enumerate(delays):
        if _ends_within(delay, command):
            return kills, ended
        ended = stamps_of(sweep) | ended
        print(f"killed after {delay:.3g} s: {len(ended)} trials have ended", file=sys.stderr)
    _ends_within(None, command)
    return len(delays), ended


def _ends_within(seconds: float | None, command: list[str]) -> bool:
    """Whether a Python process ends within so many seconds; otherwise it is killed.

    Raises:
        RunFailed: if it ends with another status than 0.
    """
    with subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT / "scripts",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            _, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            return False
    if process.returncode:
        raise RunFailed(f"the search ended with status {process.returncode}:\n{errors.strip()}")
    return True


def _table(arguments: Kills, columns: Mapping[str, Facts]) -> Table:
    title = f"a search of {arguments.trials} trials in batches of {arguments.batch}, killed at random moments"
    table = grid(title, "", *columns)
    for name in columns["killed"]:
        table.add_row(name, *(str(each.get(name, "")) for each in columns.values()))
    return table
