"""The test of a run: its scores, those of its baselines, and its predictions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mlplab.config import TrainConfig
from mlplab.data.cache import RunData
from mlplab.runs.baselines.fitted import baseline_part_scores
from mlplab.runs.folder import TEST_PREDICTIONS, Metrics, finite
from mlplab.runs.predictions import Predicted, weighted_mean, write_test_predictions
from mlplab.runs.scores import table_scores
from mlplab.training.module import StackModule


@dataclass(frozen=True)
class RunTest:
    """The test of a run's members.

    Args:
        module: a stack that has been tested.
        members: the run's members in it, without those that have diverged.
    """

    config: TrainConfig
    data: RunData
    module: StackModule
    members: Sequence[int]

    def metrics(self) -> Metrics:
        """The scores of the network; of an ensemble, those of its mean prediction and of its members."""
        members = list(self.members)
        of_members = {
            name: value[members] for name, value in self.module.values.items() if name.startswith("test/")
        }
        if self.module.ensemble == 1:
            return finite({name: value.item() for name, value in of_members.items()})
        predicted = self.predictions()
        together = table_scores(self.data.table, self.data.split.test[: len(predicted)], predicted)
        metrics: Metrics = {f"test/{name}": value for name, value in together.items()}
        metrics |= {f"members/{name}": member_mean(value) for name, value in of_members.items()}
        if len(members) > 1:
            metrics |= {f"members/sd/{name}": value.std().item() for name, value in of_members.items()}
        return finite(metrics)

    def baseline_metrics(self, seconds: float) -> Metrics:
        """The scores of the run's baselines.

        Args:
            seconds: the time that the run's training took.
        """
        found = baseline_part_scores(self.data, self.config.baselines, seconds, self.config.threads)
        scores = {f"{k}/test/{name}": value for k, each in found.items() for name, value in each.items()}
        return finite(scores)

    def predictions(self) -> Predicted:
        """The (mean) predictions for the test rows; a `fast_dev_run` tests one batch of them."""
        members, rows = list(self.members), len(self.data.split.test)
        predicted = torch.cat([each[members] for each in self.module.test.predictions], 1)
        weights = np.full(len(members), 1 / len(members))
        return weighted_mean(predicted[:, :rows].cpu().numpy(), weights)

    def write_predictions(self, folder: Path) -> None:
        """Writes test_predictions.csv to the run's folder, if the run is to have it."""
        if self.config.test_predictions:
            table, predicted = self.data.table, self.predictions()
            rows = self.data.split.test[: len(predicted)]
            write_test_predictions(folder / TEST_PREDICTIONS, table.schema, rows, table.y[rows], predicted)


def member_mean(values: Tensor) -> float:
    """The mean over members."""
    return float(values.double().mean())
