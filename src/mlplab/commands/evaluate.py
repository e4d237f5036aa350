"""The command evaluate: the scores of trained runs on their own test rows, or on a different file."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from mlplab.commands.arguments import Evaluate
from mlplab.commands.evaluation_rows import EvaluationRows, NewRows, Part, rows_of, run_scores
from mlplab.commands.importance import ColumnImportance, Importance
from mlplab.commands.render import NAMES
from mlplab.config.metrics import network_name
from mlplab.console import progress_lines, quiet
from mlplab.data.cache import DataCache, RunData
from mlplab.data.class_labels import confusion_matrix, predicted_classes
from mlplab.errors import UserError, refusal
from mlplab.files import Plain, write_json
from mlplab.runs.baselines.fit_baselines import fit_baselines
from mlplab.runs.discovery import EVALUATION_FILE, IMPORTANCE_FILE
from mlplab.runs.trained.ensemble import Ensemble
from mlplab.runs.trained.load import load_runs
from mlplab.runs.trained.permutation_importance import affordable, error_of, permutation_importance
from mlplab.runs.trained.trained_run import TrainedRun
from mlplab.training.outcome import finite
from mlplab.training.scoring.scores import Scores

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluationResult:
    """Scores of runs, of their ensemble if there are several, and of the baselines.

    Attributes:
        model: the runs together.
        source, rows: what the rows are, in words, and their number.
        part: what the rows are called.
        runs: the scores of each run.
        ensemble: None of a single run, or if the runs have different test rows.
        confusion: the number (or weight) of rows by true and predicted class; None for regression, or if the
            runs have different test rows.
        threshold: by which classes are predicted, if it is not that of the runs.
    """

    model: Ensemble
    source: str
    rows: int
    part: Part
    runs: Sequence[Scores]
    ensemble: Scores | None
    confusion: Float64[np.ndarray, "true predicted"] | None
    baselines: Mapping[str, Scores]
    importance: Importance | None
    threshold: float | None

    def models(self) -> dict[str, tuple[str, Scores]]:
        """Titles and scores of models: by how the scores' names begin in evaluation.json.

        Of several runs, mean and standard deviation are of the scores that all have.
        """
        baselines = {f"{name}/": (name, scores) for name, scores in self.baselines.items()}
        if len(self.runs) == 1:
            return {"": (network_name(self.model.networks), self.runs[0]), **baselines}
        mean, noun = _mean(self.runs), "networks" if self.model.networks == len(self.runs) else "runs"
        sd = {name: float(np.std([scores[name] for scores in self.runs], ddof=1)) for name in mean}
        models = {"runs/": (f"mean of {len(self.runs)} {noun}", mean)}
        models["runs/sd/"] = "their standard deviation", sd
        if self.ensemble:
            models["ensemble/"] = "their ensemble", self.ensemble
        return models | baselines

    def plain(self) -> Plain:
        """The content of evaluation.json: `test/…`, or for several runs `runs/test/…`, `runs/sd/test/…` and
        `ensemble/test/…`; for the baselines `boosting/test/…`, `linear/test/…` and `constant/test/…`."""
        values = {
            f"{model}{self.part}/{name}": value
            for model, (_, scores) in self.models().items()
            for name, value in scores.items()
        }
        content = {"data": self.source, "rows": self.rows, "runs": len(self.runs), **finite(values)}
        if self.threshold is not None:
            content["threshold"] = self.threshold
        if self.confusion is not None:
            content |= {"classes": list(self.model.schema.classes), "confusion": self.confusion.tolist()}
        return content


def _mean(scores: Sequence[Scores]) -> Scores:
    names = [name for name in scores[0] if all(name in others for others in scores)]
    return {name: float(np.mean([others[name] for others in scores])) for name in names}


def evaluate(options: Evaluate) -> EvaluationResult:
    """Evaluates runs and their ensemble; of a folder, writes `evaluation.json` to it.

    On a run's own test rows, the scores equal the test scores reported at the end of training, bit for bit if
    that was on a CPU. With `importance`, also writes `importance.json` and a figure to a folder.

    Raises:
        UserError: if there is no finished run, if the data do not match the network's columns or have
            changed, if all rows were in training or validation, for the importance of different test rows, or
            for a threshold without two classes.
    """
    run, include = Path(options.run), options.training_rows == "include"
    with progress_lines(log.info, lambda: f"loading {run}"):
        ensemble = load_runs(run, options.runs)
    result = score(
        ensemble,
        DataCache(),
        options.data_path,
        include=include,
        importance=options.importance,
        threshold=options.threshold,
    )
    if run.is_dir():
        write_json(run / EVALUATION_FILE, result.plain())
        if result.importance:
            write_importance(run, result.importance, ensemble)
    return result


def score(
    ensemble: Ensemble,
    cache: DataCache,
    data: NewRows | None = None,
    *,
    include: bool = False,
    importance: bool = False,
    threshold: float | None = None,
) -> EvaluationResult:
    """Scores runs and their ensemble, as in `evaluate`; also on the rows of a frame."""
    ensemble = ensemble.with_threshold(threshold)
    part: Part = "test"
    if data is None:
        scored, baselines = _own_test_rows(ensemble.runs, cache)
    else:
        rows, part = rows_of(ensemble, data, include=include)
        scored = [rows] * len(ensemble.runs)
        baselines = _baselines_on_file(ensemble.runs[0], rows, cache)
    columns = compute_importance(ensemble, scored, part) if importance else None
    with progress_lines(log.info, lambda: f"{scored[0].source}: scoring {len(scored[0].y):,} rows"):
        together, confusion = _together(ensemble, scored)
        return EvaluationResult(
            model=ensemble,
            source=scored[0].source,
            rows=len(scored[0].y),
            part=part,
            runs=[run_scores(run, rows) for run, rows in zip(ensemble.runs, scored, strict=True)],
            ensemble=together,
            confusion=confusion,
            baselines=baselines,
            importance=columns,
            threshold=threshold,
        )


def _together(
    model: Ensemble, scored: Sequence[EvaluationRows]
) -> tuple[Scores | None, Float64[np.ndarray, "true predicted"] | None]:
    """The scores of the mean predictions of several runs, and the confusion matrix of classes."""
    several, classes, first = len(model.runs) > 1, len(model.schema.classes), scored[0]
    if not all(rows.has_same_rows(first) for rows in scored):
        log.warning(
            "no ensemble scores: the runs have different splits, so one run's test rows are another's "
            "training rows; to score the ensemble, use a different file: data.path=…"
        )
        return None, None
    if not (several or classes):
        return None, None
    predicted, _ = model.predict_features(first.x)
    scores = first.scores(model, predicted) if several else None
    if not classes:
        return scores, None
    true, labels = first.y[:, 0].astype(np.int64), predicted_classes(predicted, model.threshold)
    return scores, confusion_matrix(true, labels, first.weight, classes)


def _own_test_rows(
    runs: Sequence[TrainedRun], cache: DataCache
) -> tuple[list[EvaluationRows], dict[str, Scores]]:
    test_rows: dict[RunData, EvaluationRows] = {}
    data, scored = [], []
    for run in runs:
        own = own_data(run, cache)
        if own not in test_rows:  # runs of one split share their rows
            table, rows = own.table, own.split.test
            if not len(rows):
                raise refusal("has no test rows", run.folder, "evaluate on a different file: data.path=…")
            weight = None if table.weight is None else table.weight[rows]
            source = f"{table.source}, test rows"
            test_rows[own] = EvaluationRows(source, rows, table.x[rows], table.schema, table.y[rows], weight)
        data.append(test_rows[own])
        with progress_lines(log.info, lambda: "fitting and scoring the baselines"):
            scored.append(fit_baselines(own, run.config).test_scores(own))
    models = [name for name in scored[0] if all(name in scores for scores in scored)]
    return data, {name: _mean([scores[name] for scores in scored]) for name in models}


def own_data(run: TrainedRun, cache: DataCache) -> RunData:
    """The table and the split that a run was trained on.

    Raises:
        UserError: if they are not available, or have changed.
    """
    remedy = f"{run.folder} was trained on it; to evaluate on a different file: data.path=…"
    try:
        with quiet("mlplab.data.infer"):  # training has already warned of the columns
            data = cache.data(run.config, run.schema)
    except UserError as error:
        raise UserError(*(replace(fault, remedy=remedy) for fault in error.faults)) from error
    data.check_unchanged(run.table, remedy, order=False)
    return data


def _baselines_on_file(run: TrainedRun, rows: EvaluationRows, cache: DataCache) -> dict[str, Scores]:
    try:
        data = own_data(run, cache)
    except UserError as error:
        what = "no baselines, because their training rows are not available: %s"
        log.warning(what, error.faults[0].sentence())
        return {}
    with progress_lines(log.info, lambda: "fitting and scoring the baselines"):
        return fit_baselines(data, run.config).scores(rows.x, rows.y, rows.weight, np.arange(len(rows.y)))


def compute_importance(ensemble: Ensemble, data: Sequence[EvaluationRows], part: str) -> Importance:
    """The importance of each column for an ensemble.

    Rows with weight 0 are left out. Rows are drawn, and columns shuffled, by the seed of the first run.

    Raises:
        UserError: if the runs have different rows, if all rows have weight 0, or a prediction is not finite.
    """
    schema, first = ensemble.schema, data[0]
    if not all(rows.has_same_rows(first) for rows in data):
        what = "the runs have different splits, so one run's test rows are another's training rows"
        remedy = "give one run, or a file with rows that are new to all: data.path=…"
        raise refusal(what, "importance=true", remedy)
    rows = np.arange(len(first.y)) if first.weight is None else np.flatnonzero(first.weight > 0)
    if not len(rows):
        raise refusal("all rows have weight 0", first.source, "give rows with a weight above 0: data.path=…")
    network_weights = sum(tensor.numel() for run in ensemble.runs for tensor in run.state.values())
    count, repeats = affordable(len(rows), len(schema.inputs), network_weights)
    rows = np.sort(np.random.default_rng(ensemble.config[0].seed).choice(rows, count, replace=False))
    weight = None if first.weight is None else first.weight[rows]
    metric, error = error_of(first.y[rows], weight, len(schema.classes), ensemble.quantiles)
    base, columns = permutation_importance(ensemble, first.x[rows], error, repeats)
    return Importance(
        source=first.source,
        part=part,
        targets=schema.targets,
        metric=metric,
        error=base,
        rows=count,
        all_rows=len(first.y),
        repeats=repeats,
        columns=tuple(ColumnImportance(*column) for column in columns),
    )


def write_importance(folder: Path, importance: Importance, ensemble: Ensemble) -> None:
    """Writes `importance.json` and a figure to the folder of a run or a sweep that contains the ensemble."""
    from mlplab.figures import predictions as figures  # Altair takes most of a second to import
    from mlplab.figures.write_figures import write_figures

    runs = (run.folder for run in ensemble.runs)  # as the report names them
    names = (run.relative_to(folder).as_posix() if run != folder else run.resolve().name for run in runs)
    write_json(folder / IMPORTANCE_FILE, asdict(replace(importance, runs=tuple(names))))
    targets, metric = importance.targets, NAMES[importance.metric]
    unit = "nats" if ensemble.schema.classes else f"units of {targets[0]}"
    error = f"{metric} in {unit}" if len(targets) == 1 else f"mean {metric} of {len(targets)} targets"
    columns = [(column.name, column.mean, column.sd) for column in importance.columns]
    write_figures(folder, {"importance": figures.importance(columns, error, importance.basis)})
