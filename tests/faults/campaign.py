"""Kills, full disks, damaged and hostile files: tried on real processes and files, again and again.

uv run tests/faults/campaign.py          prints what was tried and what survived; a quarter of an hour
uv run tests/faults/campaign.py kills    one of them

Each function tries something `tries` times in a folder, and gives why the tries failed that did.
"""

import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

if __name__ == "__main__":  # as pytest sets it for the tests
    sys.path[:0] = [str(Path(__file__).parents[1])]

import torch
from faults.processes import run, start
from filelock import FileLock
from support import left_behind, status_of

from mlplab.errors import UserError
from mlplab.runs import checkpoint
from mlplab.runs.trained.trained_run import TrainedRun

SOLO = (
    *("data=synthetic", "data.rows=400", "data.noise=1", "data.batch_size=16", "model.hidden=[16,16]"),
    *("model.dropout=0.2", "scheduler=cosine", "name=r"),
    *("callbacks.checkpoint.every_minutes=0", "callbacks.early_stopping.patience=25"),
    *("trainer.log_every_n_steps=7", "trainer.max_epochs=30"),
)
STACK = (
    *("-m", "data=synthetic", "data.rows=400", "data.noise=1", "data.batch_size=16", "model.hidden=[8,8]"),
    *("model.dropout=0,0.2", "optimizer.lr=0.03,0.003", "data/split=kfold", "data.split.folds=4"),
    *("data.split.fold=range(4)", "trainer.max_epochs=25", "callbacks.early_stopping.patience=4"),
    *("callbacks.checkpoint.every_minutes=0", "name=s"),
)

NO_SPACE = "cannot be written: No space left on device"


def as_bits(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: as_bits(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [as_bits(inner) for inner in value]
    return value.numpy().tobytes() if isinstance(value, torch.Tensor) else value


def outcome(folder: Path) -> dict[str, Any]:
    """What a run has come to, bit by bit, with all that training would go on from."""
    left = left_behind(folder)
    training = checkpoint.load(folder / "checkpoints/last.ckpt").get("training", {})
    return {
        **{name: left[name] for name in ("metrics", "curves", "config", "weights")},
        "training": {name: as_bits(value) for name, value in training.items() if name != "seconds"},
    }


def differing(one: dict[str, Any], other: dict[str, Any]) -> str:
    return ", ".join(part for part in one if one[part] != other[part])


def whole_run(folder: Path, words: Sequence[str] = SOLO) -> dict[str, Any]:
    assert run(["train", *words], folder / "whole")[0] == 0
    return outcome(folder / "whole/outputs/r")


def resume(here: Path, whole: dict[str, Any]) -> str:
    """Why a run does not come to the end of one that is whole, if so."""
    status, printed = run(["train", "resume=outputs/r"], here)
    if status:
        return f"resumed with status {status}: {printed[-300:]}"
    differs = differing(whole, outcome(here / "outputs/r"))
    return f"other {differs}" if differs else ""


def kills(tries: int, folder: Path, chance: random.Random, further: Sequence[str] = ()) -> list[str]:
    """Runs alone, killed at random moments or stopped at random steps, and resumed until they end."""
    solo = [*SOLO, *further]
    whole = whole_run(folder, solo)
    lasts = max(0.5, json.loads((folder / "whole/outputs/r/metrics.json").read_text())["seconds"])
    failures: list[str] = []
    killed = number = 0
    while killed < tries:
        number += 1
        here = folder / f"killed{number}"
        words = ["train", *solo]
        for _ in range(4):
            command = start(words, here)
            path = here / "outputs/r/train.log"
            _wait(lambda path=path: path.exists(), command)  # type: ignore[misc]
            time.sleep(chance.uniform(0, lasts))
            command.kill(chance.choice([signal.SIGKILL, signal.SIGTERM]))
            status = command.wait()
            if status == 0:
                break
            killed += 1
            ended = path.exists() and status_of(here / "outputs/r") == "done"
            is_loading = all(line.startswith("loading torch") for line in command.output().splitlines())
            outside = status == -15 and (ended or is_loading)  # before or after training heeds it
            if status not in (-9, 143) and not outside:
                failures.append(f"{number}: status {status}: {command.output()[-300:]}")
            words = ["train", "resume=outputs/r"] if (here / "outputs/r/config.yaml").exists() else words
        if failure := resume(here, whole):
            failures.append(f"{number}: {failure}")
        else:
            shutil.rmtree(here)
    return failures


def sweep_kills(tries: int, folder: Path, chance: random.Random) -> list[str]:
    """A sweep of 16, killed at random moments and given again: one stack, or four in one or two processes."""
    assert run(["train", *STACK], folder / "whole")[0] == 0
    whole = {path.name: outcome(path) for path in sorted((folder / "whole/outputs/s").glob("*=*"))}
    assert len(whole) == 16
    failures: list[str] = []
    for number in range(tries):
        here = folder / f"killed{number}"
        sweep = here / "outputs/s"
        divided = ["hydra.launcher.max_members=4", f"hydra.launcher.workers={chance.choice([1, 2])}"]
        words = ["train", *STACK, *(divided if number % 3 == 1 else [])]
        ended = dict[str, int | None]()
        for _ in range(3):
            command = start(words, here)
            _wait(lambda: (sweep / "plan.json").exists(), command)  # noqa: B023 - used at once
            time.sleep(chance.uniform(0.1, 4))
            command.kill(chance.choice([signal.SIGKILL, signal.SIGTERM]))
            if command.wait() == 0:
                break
            for lock in sweep.glob("*/.lock"):  # of orphans
                with FileLock(lock, timeout=60):
                    pass
            ended = {name: _written(sweep / name) for name in whole}
        status, printed = run(words, here)
        if status:
            failures.append(f"{number}: status {status}: {printed[-300:]}")
        for name, expected in whole.items():
            found = outcome(sweep / name)
            if number % 3 == 1:  # what training would go on from is that of another stack
                found["training"] = expected["training"]
            if differs := differing(expected, found):
                failures.append(f"{number}: {name}: other {differs}")
            if ended.get(name) not in (None, _written(sweep / name)):
                failures.append(f"{number}: {name} was trained again")
        if not failures:
            shutil.rmtree(here)
    return failures


def write_kills(tries: int, folder: Path, chance: random.Random) -> list[str]:
    """A run that spends most of its time writing checkpoints, killed."""
    wide = ("data=synthetic", "data.rows=64", "data.batch_size=16", "model.hidden=[512,512]")
    keep = ("callbacks.checkpoint.every_minutes=0", "scheduler=constant", "trainer.max_epochs=100000")
    words, failures, step = ["train", *wide, *keep, "name=r", "logger=[]"], [], 0
    last = folder / "outputs/r/checkpoints/last.ckpt"
    for number in range(tries):
        command = start(words, folder)
        _wait(lambda: last.exists(), command)
        time.sleep(chance.uniform(0.3, 0.8))
        command.kill()
        command.wait()
        try:
            content = checkpoint.load_newest(last)
            if last.exists():
                checkpoint.load(last)
            reached = content["training"]["step"] if content else -1
            if reached < step:
                failures.append(f"{number}: step {step} was kept before, {reached} now")
            step = reached
        except UserError as error:
            failures.append(f"{number}: {error}")
        words = ["train", "resume=outputs/r"]
    command = start(words, folder)  # which cleans up what kills have left
    _wait(lambda: command.printed.exists() and "resumes after" in command.output(), command)
    command.kill(signal.SIGTERM)
    status, leftovers = command.wait(), [path.name for path in folder.rglob("*.part")]
    failures += [f"{leftovers} are left"] if leftovers else []
    return failures + ([f"status {status} in the end: {command.output()[-300:]}"] if status != 143 else [])


def full_disks(tries: int, folder: Path, chance: random.Random) -> list[str]:
    """A run on a small file system that fills up while it trains, and goes on when there is room."""
    whole, failures = whole_run(folder), []
    for number in range(tries):
        with small_disk(folder / f"disk{number}", kilobytes=4096) as here:
            command = start(["train", *SOLO], here / "work")
            last = here / "work/outputs/r/checkpoints/last.ckpt"
            _wait(lambda: last.exists(), command)  # noqa: B023
            time.sleep(chance.uniform(0, 1))
            filler = here / "filler"
            fill(filler, leave=chance.randrange(0, 60_000))
            status = command.wait()
            printed = command.output()
            filler.unlink()
            if status == 0 and not differing(whole, outcome(here / "work/outputs/r")):
                continue  # it had ended before
            if status != 1 or NO_SPACE not in printed or "Traceback" in printed:
                failures.append(f"{number}: status {status}: {printed[-1500:]}")
            if checkpoint.load_newest(last) is None:
                failures.append(f"{number}: no checkpoint is left")
            if failure := resume(here / "work", whole):
                failures.append(f"{number}: {failure}")
    return failures


def damages(tries: int, folder: Path, chance: random.Random) -> list[str]:
    """Damaged checkpoints of a finished run: named, or read with equal contents."""
    brief = [*SOLO[:-1], "trainer.max_epochs=2"]
    assert run(["train", *brief], folder)[0] == 0
    path = folder / "outputs/r/checkpoints/best.ckpt"
    whole, good = path.read_bytes(), as_bits(checkpoint.load(path))
    changed = {"model.hidden=[16,16]": "model.hidden=[8]", "name=r": "name=o"}
    assert run(["train", *(changed.get(word, word) for word in brief)], folder)[0] == 0
    another = (folder / "outputs/o/checkpoints/best.ckpt").read_bytes()
    failures = []
    for number in range(tries):
        kind = ("cut", "bit", "bit", "bit", "empty", "text", "other")[number % 7]
        flipped, place = bytearray(whole), chance.randrange(1, len(whole))
        flipped[place] ^= 1 << chance.randrange(8)
        text = b"all work and no play\n" * 100
        harm = {"cut": whole[:place], "bit": flipped, "empty": b"", "text": text, "other": another}
        path.write_bytes(harm[kind])
        try:
            TrainedRun.read(folder / "outputs/r")
            if kind != "bit" or as_bits(checkpoint.load(path)) != good:
                failures.append(f"{number}: {kind} was not seen")
        except UserError as error:
            if "best.ckpt" not in str(error):
                failures.append(f"{number}: {kind}: {error}")
        except Exception as error:
            failures.append(f"{number}: {kind}: {type(error).__name__}: {error}")
    path.write_bytes(whole)
    return failures


def troubles(tries: int, folder: Path, chance: random.Random) -> list[str]:
    """Sweeps of 20 in which half of the runs raise, exit or diverge: together, alone, and in processes."""
    failures = []
    cases = [*itertools.product(("max_members=20", "max_members=1", "workers=2"), ("raise", "exit", "lost"))]
    allow = {"MLPLAB_ALLOWED_CLASSES": "troubled.Troubled", "PYTHONPATH": os.fspath(Path(__file__).parent)}
    for launcher, trouble in cases[:tries]:
        words = [
            *("train", "-m", "data=synthetic", "data.rows=60", "trainer.max_epochs=2", "model=custom"),
            *("model._target_=troubled.Troubled", f"+model.trouble=none,{trouble}", "seed=range(10)"),
            *("logger=[]", f"hydra.launcher.{launcher}", "name=s"),
        ]
        here = folder / f"{trouble}-{launcher}"
        status, printed = run(words, here, **allow)
        found = {path.parent.name: status_of(path.parent) for path in here.glob("outputs/s/*/metrics.json")}
        ends = {"none": "done", trouble: "diverged" if trouble == "lost" else "failed"}
        expected = {f"trouble={each},seed={seed}": end for seed in range(10) for each, end in ends.items()}
        if status != 1 or found != expected or "10 of 20 runs failed" not in printed:
            failures.append(f"{trouble} under {launcher}: status {status}, {found}: {printed[-500:]}")
    return failures


def starts(tries: int, folder: Path, chance: random.Random) -> list[str]:
    """Runs that are started at once, with names by default, and as many with the same."""
    quick = ("data=synthetic", "data.rows=40", "trainer.max_epochs=1", "logger=[]")
    commands = [start(["train", *quick], folder / "apart") for _ in range(tries)]
    failed = [command.output() for command in commands if command.wait()]
    folders = list((folder / "apart/outputs").iterdir())
    failures = failed if len(folders) == tries else [f"{len(folders)} folders", *failed]
    commands = [start(["train", *quick, "name=r"], folder / "same") for _ in range(tries)]
    statuses = sorted(command.wait() for command in commands)
    return failures + ([] if statuses == [0, *[2] * (tries - 1)] else [f"statuses {statuses}"])


TRIED: dict[str, tuple[Callable[[int, Path, random.Random], list[str]], int]] = {
    "kills": (kills, 100),
    "ensemble_kills": (partial(kills, further=["ensemble=4"]), 30),
    "sweep_kills": (sweep_kills, 30),
    "write_kills": (write_kills, 200),
    "full_disks": (full_disks, 20),
    "damages": (damages, 200),
    "troubles": (troubles, 9),
    "starts": (starts, 50),
}


def _written(folder: Path) -> int | None:
    """When a run that has ended was written; None for others."""
    path = folder / "metrics.json"
    ended = path.exists() and path.stat().st_size and status_of(folder) in ("done", "diverged")
    return path.stat().st_mtime_ns if ended else None


def _wait(condition: Callable[[], bool], command: Any, timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not condition() and command.process.is_alive():
        assert time.monotonic() < deadline, command.output()
        time.sleep(0.005)


def can_mount() -> bool:
    return sys.platform == "linux" and os.geteuid() == 0 and shutil.which("mount") is not None


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    folder.mkdir()
    size = f"size={kilobytes}k"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", os.fspath(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", os.fspath(folder)], check=True)


def fill(path: Path, leave: int) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            file.truncate(max(0, file.tell() - leave))


def main(names: Sequence[str]) -> int:
    bad = 0
    for name in names or TRIED:
        trial, tries = TRIED[name]
        with TemporaryDirectory() as folder:
            try:
                failures = trial(tries, Path(folder), random.Random(0))
            except Exception as error:
                failures = [f"could not be tried: {error!r}"] * tries
        print(f"{name}: {tries} tried, {tries - len(failures)} survived", *failures, sep="\n  ", flush=True)
        bad += len(failures)
    return int(bad > 0)


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main(sys.argv[1:]))
