"""Run folders, found without torch."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from mlplab.errors import Fault, UserError, listed

LARGEST_CONFIG = 2**20
"""Bytes."""


def is_run(folder: Path) -> bool:
    """Whether a folder is one run's."""
    return (folder / "config.yaml").is_file() and (
        (folder / "metrics.json").is_file() or (folder / "checkpoints").is_dir()
    )


def runs_below(folder: Path, depth: int) -> Iterator[Path]:
    """The run folders in a folder, at most so deep, in order of their names; itself if it is one."""
    if is_run(folder):
        yield folder
        return
    if depth == 0:
        return
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir() and not entry.name.startswith("."):
            yield from runs_below(Path(entry.path), depth - 1)


def read_config(folder: Path) -> dict[str, Any]:
    """The content of a run's config.yaml, unchecked.

    Raises:
        UserError: if it is no run's folder, or the file is damaged.
    """
    path = folder / "config.yaml"
    try:
        text = path.read_bytes()
        if len(text) > LARGEST_CONFIG or any(isinstance(each, yaml.AliasEvent) for each in _events(text)):
            raise UserError(Fault("is no configuration that a run wrote: it unfolds", str(path)))
        content = yaml.load(text, Loader=yaml.CSafeLoader)
    except (FileNotFoundError, NotADirectoryError):
        what = "is not a run folder" if folder.is_dir() else "no such folder"
        raise UserError(Fault(what, str(folder), remedy="the runs of train.py are below outputs/")) from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(Fault("is damaged: no YAML", str(path))) from error
    if not isinstance(content, dict):
        raise UserError(Fault("is damaged: no keys", str(path)))
    return content


def _events(text: bytes) -> Iterator[yaml.Event]:
    """Of YAML that has anchors, by which a short text may stand for a very long one."""
    return yaml.parse(text, Loader=yaml.CSafeLoader) if b"&" in text else iter(())


def read_metrics(folder: Path) -> dict[str, Any]:
    """The content of a run's metrics.json; of one without any, the status `unknown`.

    Raises:
        UserError: if it is damaged.
    """
    path = folder / "metrics.json"
    if not path.exists() or not path.stat().st_size:  # or killed as it was made
        return {"status": "unknown"}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        content = None
    if not isinstance(content, dict) or not isinstance(content.get("status"), str):
        raise UserError(Fault("is damaged", str(path), expected="the flat JSON that a run writes"))
    return content


def finished_runs(folder: Path, key: str = "run") -> list[Path]:
    """A finished run's folder itself, or those of a sweep's finished runs; `key` named it.

    Raises:
        UserError: if there is none.
    """
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "no such folder"
        raise UserError(Fault(what, str(folder), remedy=f"name the folder of a run: {key}=…"))
    found = {run: read_metrics(run)["status"] for run in runs_below(folder, depth=1)}
    if not found:
        raise UserError(
            Fault(
                "is not a run folder, nor a sweep's",
                str(folder),
                expected="config.yaml and metrics.json in it, or in the folders in it",
                remedy="the runs of train.py are below outputs/",
            )
        )
    done = [run for run, status in found.items() if status == "done"]
    if not done:
        raise UserError(
            Fault(
                "holds no finished run",
                str(folder),
                listed(f"{run.name}: {status}" for run, status in found.items()),
            )
        )
    return done


def finished_run(folder: Path, key: str) -> Path:
    """The folder itself, if it is a finished run's; `key` named it.

    Raises:
        UserError: otherwise.
    """
    if finished_runs(folder, key) != [folder]:
        raise UserError(Fault("is a sweep's folder", f"{key}={folder}", remedy="name one of its runs"))
    return folder
