"""What the shapes of a network's tensors follow from, and networks that await such tensors."""

from dataclasses import dataclass, field
from functools import lru_cache

import torch

from mlplab import config
from mlplab.data.schema import Schema
from mlplab.models import FeatureLayout, Network, Preprocessing, build_network


@dataclass(frozen=True)
class Architecture:
    """What networks must have in common to be members of one stack.

    Attributes:
        model: the section of the configuration, without dropout, which does not act in predictions.
        layout: the input columns.
        targets: number of targets.
        classes: number of the target's classes; 0: the targets are numbers.
        has_class_weights: whether the classes have weights in the loss.
        dtype: of the inputs.
        seed: of a custom network, whose class may do anything with it; 0 for all others.
    """

    model: config.Mlp | config.Linear | config.CustomModel = field(hash=False)
    layout: FeatureLayout
    targets: int
    classes: int
    has_class_weights: bool
    dtype: torch.dtype
    seed: int

    @classmethod
    def of(cls, run: config.TrainConfig, schema: Schema, dtype: torch.dtype) -> "Architecture":
        """The architecture of a run's network."""
        model = run.model
        if isinstance(model, config.Mlp):
            model = model.model_copy(update={"dropout": 0.0})
        return cls(
            model,
            FeatureLayout(schema.categories, schema.missing),
            len(schema.targets),
            len(schema.classes),
            run.data.class_weights != "none",
            dtype,
            run.seed if isinstance(model, config.CustomModel) else 0,
        )

    def build(self, members: int) -> Network:
        """A network for predictions, whose weights must be loaded.

        Raises:
            UserError: if a custom network class cannot be found, or its tensors have no member axis.
        """
        seeds, weights = [self.seed] * members, None
        if self.has_class_weights:
            weights = torch.ones(members, 1, self.classes, dtype=torch.float64)
        preprocessing = Preprocessing(
            self.model.preprocessing,
            self.layout,
            self.targets,
            seeds,
            self.dtype,
            None,
            self.classes,
            weights,
        )
        return build_network([self.model] * members, seeds, preprocessing, initialize=False).eval()


@lru_cache(maxsize=4)
def scratch_network(architecture: Architecture, members: int) -> Network:
    """A network to try tensors on; building one takes longer than loading a run of the same architecture."""
    return architecture.build(members)
