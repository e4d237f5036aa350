"""What experiment trackers get of a run that has ended: scores, figures and the network as a file."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from lightning.pytorch.loggers import Logger

from mlplab.data.cache import RunData
from mlplab.figures.failing import warn_if_failing
from mlplab.figures.files import figure_images
from mlplab.runs.discovery import has_test_scores
from mlplab.runs.loggers.trackers import log_result
from mlplab.runs.trained.ensemble import Ensemble
from mlplab.runs.trained.save import save
from mlplab.runs.trained.trained_run import TrainedRun


def publish(trained: TrainedRun, data: RunData, trackers: Sequence[Logger], *, alone: bool) -> None:
    """Logs the result of a finished run to trackers.

    It is drawn first, if it asks for figures; in a sweep, only if it asks for `figures=all`, since the best
    run is not known yet.
    """
    with warn_if_failing(trained.folder, "result for the trackers"), TemporaryDirectory() as temporary:
        wanted = ("all", *(["auto"] if alone else []))
        if has_test_scores(trained.metrics) and trained.config.figures in wanted:
            from mlplab.runs.draw_figures import draw  # Altair takes half a second

            draw(trained, data)
        model = Path(temporary, "model.mlplab")
        save(Ensemble([trained]), model)
        log_result(trackers, trained.metrics, figure_images(trained.folder), model)
