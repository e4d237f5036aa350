"""What experiment trackers get of a run that has ended: scores, figures and the network as a file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lightning.pytorch.loggers import Logger

from mlplab.figures.failing import warn_if_failing
from mlplab.figures.files import figure_images
from mlplab.runs.discovery import has_test_scores
from mlplab.runs.loggers.trackers import log_result
from mlplab.runs.trained.ensemble import Ensemble
from mlplab.runs.trained.save import save
from mlplab.runs.trained.trained_run import TrainedRun
from mlplab.training.outcome import Metrics
from mlplab.training.run import Run


def publish(
    content: Mapping[str, Any],
    metrics: Metrics,
    folder: Path,
    run: Run,
    trackers: Sequence[Logger],
    *,
    alone: bool,
) -> None:
    """Logs the result of a finished run to trackers.

    It is drawn first, if it asks for figures; in a sweep, only if it asks for `figures=all`, since the best
    run is not known yet.

    Args:
        content: of its best checkpoint.
    """
    with warn_if_failing(folder, "result for the trackers"), TemporaryDirectory() as temporary:
        trained = TrainedRun(content, metrics, folder)
        if has_test_scores(metrics) and run.config.figures in ("all", *(["auto"] if alone else [])):
            from mlplab.runs.draw_figures import draw  # Altair takes half a second

            draw(trained, run.data)
        model = Path(temporary, "model.mlplab")
        save(Ensemble([trained]), model)
        log_result(trackers, metrics, figure_images(folder), model)
