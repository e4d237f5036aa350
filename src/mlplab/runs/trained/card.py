"""Pages about trained networks: what they predict, how good they are, what they contain of a table."""

from collections.abc import Iterable, Sequence
from importlib.metadata import version
from itertools import chain

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


def run_card(name: str, ensemble: Ensemble, *, seen: bool) -> str:
    """The page in a file of runs.

    Args:
        name: of the file.
        seen: whether it has hashes of the rows in training and validation.
    """
    columns = markdown_table(("column", "role", "kind", "values"), column_rows(ensemble.schema))
    remains = [f"- {line}" for line in remaining_values(ensemble, seen=seen)]
    code = ["import mlplab", f'run = mlplab.load("{name}")', "run.predict(frame)"]
    return page(
        summary(name, ensemble),
        ["## Columns", "", *columns],
        test_scores(ensemble),
        ["## What the file contains of the table", "", "No rows, but:", "", *remains],
        ["## Use", "", "```python", *code, "```"],
    )


def page(*sections: Sequence[str]) -> str:
    """Sections of lines, with a blank line between them; empty ones are left out."""
    return "\n".join(chain.from_iterable((*lines, "") for lines in sections if lines))


def summary(name: str, ensemble: Ensemble) -> list[str]:
    """The title of a page, and what is predicted from what."""
    targets, columns = listed(ensemble.schema.targets), plural(len(ensemble.schema.inputs), "column")
    networks = plural(ensemble.networks, "network")
    return [
        f"# {name}",
        "",
        f"Predicts {targets} from {columns}: {networks}, trained by mlplab {version('mlplab')}.",
    ]


def test_scores(ensemble: Ensemble) -> list[str]:
    """The test scores of a run and of its baselines; none of several runs, or without a test."""
    metrics, *others = ensemble.metrics
    if others or not (names := metrics_among(metrics, "test/")):
        return []
    models = {"": "this model", **{f"{name}/": title for name, title in BASELINES[names].items()}}
    scores = {
        title: [metrics.get(f"{prefix}test/{name}") for name in names] for prefix, title in models.items()
    }
    rows = [
        (title, *("–" if value is None else in_digits(value) for value in values))
        for title, values in scores.items()
        if any(value is not None for value in values)
    ]
    about = "On rows that took no part in training or in any choice; errors are in units of the target:"
    return ["## Test scores", "", about, "", *markdown_table(("", *names), rows)]


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


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    lines = [head, ["---"] * len(head), *rows]
    escaped = ([cell.replace("|", r"\|").replace("\n", " ") for cell in line] for line in lines)
    return [f"| {' | '.join(line)} |" for line in escaped]
