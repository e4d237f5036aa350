"""The file about a search's best trial. Imports no torch."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, FiniteFloat, NonNegativeInt, TypeAdapter, ValidationError

from mlplab.errors import refusal
from mlplab.files import replacing
from mlplab.runs.discovery import BEST_TRIAL_FILE, parse_yaml

TRIAL = re.compile(r"trial-(\d{4,})")
"""The name of a trial's folder: its number is the order in which the search asked for the trials."""


def trial_name(number: int) -> str:
    """The name of a trial's folder."""
    return f"trial-{number:04d}"


@dataclass(frozen=True)
class BestTrial:
    """The best trial of a search, by a validation metric.

    Attributes:
        trial: the name of its folder.
        trials: the number of trials by status.
        configuration: the trial's values of the keys that the search varied.
        command: what trains this configuration.
        test: the test scores by metric, such as `rmse`; None if one is not finite; empty without test rows.
    """

    trial: Annotated[str, Field(pattern=f"^{TRIAL.pattern}$")]
    monitor: str
    value: FiniteFloat
    trials: Mapping[str, NonNegativeInt]
    configuration: Mapping[str, object]
    command: str
    test: Mapping[str, FiniteFloat | None]

    @classmethod
    def read(cls, folder: Path) -> "BestTrial | None":
        """Reads the file in a sweep's folder; None if there is none.

        Raises:
            UserError: if it is damaged.
        """
        path = folder / BEST_TRIAL_FILE
        if not path.is_file():
            return None
        content = parse_yaml(path.read_bytes(), path)
        try:
            return TypeAdapter(cls).validate_python(content)
        except ValidationError as error:
            key = ".".join(map(str, error.errors()[0]["loc"]))
            what, remedy = f"is damaged: {key} is missing or invalid", "run the search's command again"
            raise refusal(what, path, remedy) from error

    def write(self, folder: Path) -> None:
        """Writes the file to a sweep's folder, or replaces it."""
        options: Any = {"sort_keys": False, "default_flow_style": None, "allow_unicode": True, "width": 2**16}
        content = yaml.dump(asdict(self), Dumper=yaml.CSafeDumper, **options)  # a line for each key
        with replacing(folder / BEST_TRIAL_FILE) as partial:
            partial.write_text(content, encoding="utf-8")
