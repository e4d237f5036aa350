"""How a finished run is shown: as text, and in notebooks."""

import io
from typing import TYPE_CHECKING

from rich.console import Console

from mlplab.commands.train import print_scores
from mlplab.console import print_line

if TYPE_CHECKING:
    from mlplab.api.finished_run import FinishedRun

WIDTH = 80
"""Characters of a line."""


def as_text(run: "FinishedRun") -> str:
    """Scores beside those of the baselines, how good they are, and the folder."""
    text = io.StringIO()
    console = Console(file=text, width=WIDTH, force_jupyter=False, force_terminal=False)
    weights = run.config["data"]["class_weights"]
    print_scores(run.metrics, console, has_class_weights=weights != "none")
    where = "temporary; run.save(path) copies it" if run.is_temporary else run.folder
    print_line(console, f"run folder: {where or 'none; run.save(path) writes one'}")
    return text.getvalue()


def as_html(run: "FinishedRun") -> str:
    """As text, with the learning curves."""
    from html import escape

    import vl_convert

    from mlplab.figures import LEARNING_CURVES
    from mlplab.figures.style import ON_PAPER

    figure = run.figures.get(LEARNING_CURVES)
    picture = vl_convert.vegalite_to_svg(figure.to_dict(), config=ON_PAPER) if figure else ""
    return f'<pre style="font-family: monospace; line-height: 1.2">{escape(as_text(run))}</pre>{picture}'
