"""Pages about trained networks: what they predict, how good they are, what they contain of a table."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from mlplab.config.metrics import main_scores, metrics_among
from mlplab.console import in_digits, plural
from mlplab.errors import listed
from mlplab.pages import load_template
from mlplab.runs.trained.ensemble import Ensemble

TEMPLATES = Path(__file__).parent / "template"


def page(template: Path, ensemble: Ensemble, *, kind: str, seen: bool = False, **values: object) -> str:
    """A page in Markdown, whose template extends `card.md.jinja`.

    Args:
        kind, seen: as in `contained_values`.
        values: of the template.
    """
    return load_template(template, TEMPLATES).render(
        **values,
        kind=kind,
        contained=contained_values(ensemble, kind=kind, seen=seen),
        targets=listed(ensemble.schema.targets),
        columns=plural(len(ensemble.schema.inputs), "column"),
        networks=plural(ensemble.networks, "network"),
        version=version("mlplab"),
        scores=_test_scores(ensemble),
    )


def contained_values(ensemble: Ensemble, *, kind: str, seen: bool) -> list[str]:
    """What a `model` contains of the table: what networks know; or a `file`: also what commands need.

    Args:
        seen: whether a file has hashes of the rows in training and validation.
    """
    template = load_template(TEMPLATES / "contained.jinja", TEMPLATES)
    return template.render(ensemble=ensemble, kind=kind, seen=seen, listed=listed).splitlines()


def _test_scores(ensemble: Ensemble) -> tuple[Sequence[str], list[Sequence[str]]] | None:
    """The test scores of a run and of its baselines as a table; None of several runs, or without a test."""
    metrics, *others = ensemble.metrics
    if others or not (names := metrics_among(metrics, "test/")):
        return None
    return ("", *names), [
        (title, *("–" if value is None else in_digits(value) for value in scores.values()))
        for title, scores in main_scores(metrics).items()
    ]
