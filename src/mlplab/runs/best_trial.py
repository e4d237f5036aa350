"""The trials of a search, and the file about the best of them. Imports no torch."""

import re
from pathlib import Path
from typing import Any

import yaml

from mlplab.files import Plain, replacing
from mlplab.runs.discovery import BEST_TRIAL_FILE

TRIAL = re.compile(r"trial-(\d{4,})")
"""The name of a trial's folder: its number is the order in which the search asked for the trials."""


def trial_name(number: int) -> str:
    """The name of a trial's folder."""
    return f"trial-{number:04d}"


def write_best_trial(folder: Path, content: Plain) -> None:
    """Writes the file to a sweep's folder, or replaces it: a line for each key."""
    options: Any = {"sort_keys": False, "default_flow_style": None, "allow_unicode": True, "width": 2**16}
    text = yaml.dump(content, Dumper=yaml.CSafeDumper, **options)
    with replacing(folder / BEST_TRIAL_FILE) as partial:
        partial.write_text(text, encoding="utf-8")
