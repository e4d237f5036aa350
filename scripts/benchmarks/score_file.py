"""Scores in a file that gets a line for each at once, so that what was measured is not measured again."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import harness
from mlplab.errors import Fault, UserError


class ScoreFile:
    """Lines of JSON: of what a score is, the score, and the machine.

    Raises:
        UserError: if a line is not a score.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._machine, self._scores = path, harness.machine(), dict[str, dict[str, Any]]()
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
