"""Pages about trained networks: what they predict, how good they are, what they contain of a table."""

from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mlplab.config import Mlp
from mlplab.config.metrics import BASELINES, metrics_among
from mlplab.console import in_digits, plural
from mlplab.data.schema import column_rows
from mlplab.errors import listed
from mlplab.runs.trained.ensemble import Ensemble

OF_NUMBERS = {
    "quantile": "up to 1,000 quantiles of each number or date, from the smallest value to the largest",
    "robust_clip": "the median of each number or date, and the distance of its quartiles",
    "standard": "the median, the mean and the standard deviation of each number or date",
    "none": "the median of each number or date",
}
"""What networks know of numbers and of the parts of dates, by their preprocessing."""


TEMPLATE = Path(__file__).parent / "template" / "file.md.jinja"


def run_card(name: str, ensemble: Ensemble, *, seen: bool) -> str:
    """The page in a file of runs.

    Args:
        name: of the file.
        seen: whether it has hashes of the rows in training and validation.
    """
    rows, remains = column_rows(ensemble.schema), remaining_values(ensemble, seen=seen)
    return page(TEMPLATE, ensemble, name=name, kind="file", rows=rows, remains=remains)


def page(template: Path, ensemble: Ensemble, **values: Any) -> str:
    """A page in Markdown, whose template extends `card.md.jinja`.

    Args:
        values: of the template.
    """
    loader = FileSystemLoader([template.parent, TEMPLATE.parent])
    environment = Environment(loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template(template.name).render(
        **values,
        targets=listed(ensemble.schema.targets),
        columns=plural(len(ensemble.schema.inputs), "column"),
        networks=plural(ensemble.networks, "network"),
        version=version("mlplab"),
        scores=_test_scores(ensemble),
        table=_table,
    )


def _test_scores(ensemble: Ensemble) -> tuple[Sequence[str], list[Sequence[str]]] | None:
    """The test scores of a run and of its baselines as a table; None of several runs, or without a test."""
    metrics, *others = ensemble.metrics
    if others or not (names := metrics_among(metrics, "test/")):
        return None
    models = {"": "this model", **{f"{name}/": title for name, title in BASELINES[names].items()}}
    scores = {
        title: [metrics.get(f"{prefix}test/{name}") for name in names] for prefix, title in models.items()
    }
    return ("", *names), [
        (title, *("–" if value is None else in_digits(value) for value in values))
        for title, values in scores.items()
        if any(value is not None for value in values)
    ]


def known_values(ensemble: Ensemble) -> list[str]:
    """What networks know of the cells of their table."""
    schema, models = ensemble.schema, [model for run in ensemble.runs for model in run.models]
    categorical = [column.name for column in schema.inputs if column.categories]
    lines = [f"all categories of {listed(categorical, 50)}"] if categorical else []
    if len(categorical) < len(schema.inputs):
        lines += dict.fromkeys(OF_NUMBERS[model.preprocessing.name] for model in models)
        bins = {model.piecewise_linear_bins for model in models if isinstance(model, Mlp)} - {0}
        lines += [
            f"{count + 1} quantiles of each number or date, for its piecewise-linear embedding"
            for count in bins
        ]
    if schema.classes:
        return [*lines, f"the classes of {schema.targets[0]}"]
    lines.append("the mean and the standard deviation of the target")
    clips = any(model.preprocessing.clip_predictions for model in models)
    return [*lines, "the smallest and the largest target"] if clips else lines


def remaining_values(ensemble: Ensemble, *, seen: bool) -> list[str]:
    """What a file contains of the table: what networks know, and what commands need."""
    lines = known_values(ensemble)
    if any(run.residuals for run in ensemble.runs):
        lines.append("up to 1,000 errors of predictions for rows that were held out, for intervals and sets")
    lines += ["hashes of the whole table and of its split", "the path of the table, in config.yaml"]
    return [*lines, "hashes of the rows in training and validation, which recognise them"] if seen else lines


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    escaped = ([cell.replace("|", r"\|").replace("\n", " ") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)
