"""What experiment trackers get of a run that has ended: scores, figures and the network as a file."""

from pathlib import Path
from tempfile import TemporaryDirectory

from mlplab.figures.failing import warn_if_failing
from mlplab.figures.files import figure_images
from mlplab.runs.discovery import has_test_scores
from mlplab.runs.folder import Metrics
from mlplab.runs.run import Run
from mlplab.runs.trained.ensemble import Ensemble
from mlplab.runs.trained.save import save
from mlplab.runs.trained.trained_run import TrainedRun
from mlplab.runs.loggers.trackers import log_result, trackers


def publish(run: Run, metrics: Metrics) -> None:
    """Logs the result of a finished run to its trackers, if it has any.

    It is drawn first, if it asks for figures; in a sweep, only if it asks for `figures=all`, since the best
    run is not known yet.
    """
    if not trackers(run.loggers):
        return
    with warn_if_failing(run.folder, "result for the trackers"), TemporaryDirectory() as temporary:
        trained = TrainedRun(run.folder)
        if has_test_scores(metrics) and run.config.figures in ("all", *(["auto"] if run.alone else [])):
            from mlplab.runs.draw_figures import draw  # Altair takes half a second

            draw(trained, run.data)
        model = Path(temporary, "model.mlplab")
        save(Ensemble([trained]), model)
        log_result(run.loggers, metrics, figure_images(run.folder), model)
