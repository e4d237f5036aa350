"""What trained runs predict for rows that they did not train on, so that they can be compared."""

import numpy as np
from jaxtyping import Float64

from mlplab.data.cache import RunData
from mlplab.data.splits.split import Rows
from mlplab.runs.predictions import out_of_fold
from mlplab.runs.trained.run_stack import RunStack
from mlplab.runs.trained.trained_run import TrainedRun


def validation_predictions(run: TrainedRun, data: RunData) -> tuple[Rows, Float64[np.ndarray, "_ output"]]:
    """The validation rows of a run and its predictions for them; of an ensemble, those out of fold."""
    held_out = [data.members[member].split.val for member in run.members]
    rows = np.unique(np.concatenate(held_out))
    predicted = RunStack([run])(data.table.x[rows])
    return out_of_fold(
        held_out,
        [of_member[np.isin(rows, own)] for of_member, own in zip(predicted, held_out, strict=True)],
    )
