"""Reads the files in the folder of a run, also of earlier versions. Imports no torch."""

import re
from collections.abc import Mapping
from pathlib import Path

import yaml

from mlplab.errors import Fault, UserError, refusal
from mlplab.files import Plain, read_json
from mlplab.runs.versions import check_readable, converted


def read_config(folder: Path) -> Plain:
    """The content of a run's config.yaml, converted from an earlier version, but not validated.

    Raises:
        UserError: if the folder is not a run's, this version cannot read it, or the file is damaged.
    """
    path, text = folder / "config.yaml", _config_text(folder)
    try:  # it may come from a stranger
        events = yaml.parse(text, Loader=yaml.CSafeLoader) if b"&" in text else ()
        if len(text) > 2**20 or any(isinstance(event, yaml.AliasEvent) for event in events):
            raise ValueError("it is too large, or has aliases, which may expand a short text to a huge one")
        content = yaml.load(text, Loader=yaml.CSafeLoader)
        if not isinstance(content, dict):
            raise ValueError("it has no keys")
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = "it is not YAML" if isinstance(error, yaml.YAMLError) else str(error)
        raise refusal(f"is damaged: {reason}", path) from error
    version = read_version(folder)
    check_readable(version, str(path))
    return converted({"config": content}, version)["config"]


def read_version(folder: Path) -> str:
    """The version of mlplab (major, minor) that wrote a run: config.yaml begins with it; 0.1 wrote none.

    Raises:
        UserError: if the folder is not a run's.
    """
    found = re.match(rb"# mlplab (\d+\.\d+)", _config_text(folder))
    return found[1].decode() if found else "0.1"


def read_schema(folder: Path) -> Plain:
    """The content of a run's schema.json, converted from an earlier version; empty if damaged or absent.

    Raises:
        UserError: as `read_version`.
    """
    content = {"schema": read_json(folder / "schema.json")}
    return converted(content, read_version(folder))["schema"]


def _config_text(folder: Path) -> bytes:
    try:
        return (folder / "config.yaml").read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise not_a_run(folder, "is not a run folder") from None


def read_metrics(folder: Path) -> Plain:
    """The content of a run's metrics.json, or the status `unknown` if there is none.

    Raises:
        UserError: if it is damaged.
    """
    path = folder / "metrics.json"
    # Before it is read, for its process may be writing it, or was killed while it created the file.
    if not path.exists() or not path.stat().st_size:
        return {"status": "unknown"}
    if not isinstance((content := read_json(path)).get("status"), str):
        raise UserError(Fault("is damaged", str(path), expected="the flat JSON that a run writes"))
    return content


def has_test_scores(metrics: Mapping[str, object]) -> bool:
    """Whether a run has test scores: those with `test=false` have none."""
    return any(name.startswith("test/") for name in metrics)


def not_a_run(folder: Path, what: str) -> UserError:
    """The error about a folder, or a file or nothing in its place, that is no run's or sweep's."""
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "no such folder"
    return refusal(
        what, folder, "give the folder of a run or a sweep that mlplab train wrote, such as outputs/…"
    )
