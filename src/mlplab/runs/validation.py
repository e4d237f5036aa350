"""What trained runs predict for rows that they did not train on, so that they can be compared."""

import numpy as np
from jaxtyping import Float64

from mlplab.data.cache import RunData
from mlplab.data.splits.split import Rows
from mlplab.errors import Fault, UserError
from mlplab.runs.run_stack import predict_runs
from mlplab.runs.trained import TrainedRun


def validation_predictions(run: TrainedRun, data: RunData) -> tuple[Rows, Float64[np.ndarray, "row output"]]:
    """The validation rows of a run and its predictions for them.

    Raises:
        UserError: if the run is an ensemble, whose networks may have different validation rows.
    """
    if len(run.member_weights) > 1:
        what, remedy = (
            "is an ensemble itself, of which select= cannot choose",
            "give a sweep of single networks",
        )
        raise UserError(Fault(what, str(run.folder), remedy=remedy))
    rows = data.split.val
    [predicted] = predict_runs([run], [data.table.x[rows]])
    return rows, predicted
