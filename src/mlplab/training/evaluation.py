"""How good a network is on rows it does not train on, member by member."""

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import MeanAbsoluteError, MeanSquaredError, MetricCollection

from mlplab.data.loader import Batch
from mlplab.nets import Network
from mlplab.training.losses import Loss
from mlplab.training.metrics import R2

Values = dict[str, Float[Tensor, " member"]]


class Mean:
    """A mean over batches for each member, weighted by rows."""

    def __init__(self) -> None:
        self.values: list[Float[Tensor, " member"]] = []
        self.rows: list[int] = []

    def add(self, values: Float[Tensor, " member"], rows: int) -> None:
        """Adds the mean over a batch of so many rows."""
        self.values.append(values)
        self.rows.append(rows)

    def take(self) -> Float[Tensor, " member"]:
        """The mean in float64, and a fresh start."""
        values = torch.stack(self.values).double()
        weights = values.new_tensor(self.rows).unsqueeze(1)
        self.values, self.rows = [], []
        return (values * weights).sum(0) / weights.sum()


class Evaluation(torch.nn.Module):
    """Loss, rmse, mae and r2 over batches, in the target's own units; errors are summed up in float64.

    A module, so that its sums go to the device where the network is.

    Args:
        part: the name before the slash, `val` or `test`.
    """

    def __init__(self, loss: Loss, members: int, part: str) -> None:
        super().__init__()
        self.part, self.loss = part, loss
        self.metrics = MetricCollection(
            {
                "rmse": MeanSquaredError(squared=False, num_outputs=members),
                "mae": MeanAbsoluteError(num_outputs=members),
                "r2": R2(members),
            },
            prefix=f"{part}/",
        ).set_dtype(torch.float64)
        self.losses = Mean()

    def add(self, network: Network, batch: Batch) -> None:
        """Predicts a batch and adds its errors."""
        z = network.encoded(batch.x)
        self.losses.add(self.loss(z, network.encoder.encode_target(batch.y)), batch.x.shape[1])
        predicted = network.encoder.decode(z)
        self.metrics.update(predicted.squeeze(2).T, batch.y.squeeze(2).T)

    def take(self, network: Network) -> Values:
        """The values over all batches since the last time."""
        values = {f"{self.part}/loss": self.loss.in_target_units(self.losses.take(), network.encoder.y_std)}
        values |= {name: value.reshape(-1) for name, value in self.metrics.compute().items()}
        self.metrics.reset()
        return values
