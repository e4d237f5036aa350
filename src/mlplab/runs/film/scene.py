"""What of a table the film of a run shows."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Shaped

from mlplab.config import Preprocessing, ResolvedConfig
from mlplab.data.cache import RunData
from mlplab.data.schema import Column, Schema
from mlplab.data.splits.split import Rows, sample_rows
from mlplab.data.synthetic import FUNCTIONS
from mlplab.files import Plain
from mlplab.models import FeatureLayout

ROWS = 5
"""Training rows of which a film shows all activations."""

MAP = 40
"""Values of each of two columns at which a film shows what a network has learned."""

POINTS = 150
"""Rows that it shows beside that; where there is no map, validation rows with their predictions."""


@dataclass(frozen=True)
class Scene:
    """What of a run's table a film shows.

    Attributes:
        worked: training rows that are worked in numbers, by ascending target.
        range: the lowest and the highest target in training.
        axes: values of the one or two columns over which predictions are mapped, in their own units; none:
            there is no map, unless of one or two columns of numbers; of classes, of two.
    """

    run: ResolvedConfig
    data: RunData
    worked: Rows
    range: tuple[float, float]
    axes: Sequence[Float64[np.ndarray, " value"]]

    @property
    def grid(self) -> Float64[np.ndarray, "value column"]:
        """All combinations of the axes' values."""
        return np.stack([axis.ravel() for axis in np.meshgrid(*self.axes, indexing="ij")], 1)

    def plain(self) -> Plain:
        """What becomes JSON: texts of cells; where there is a map, training rows and the true function."""
        table, schema = self.data.table, self.data.table.schema
        levels = [f"{level:g} quantile" for level in self.run.quantiles]
        scene: Plain = {
            "table": table.source,
            "columns": _feature_names(schema),
            "target": schema.targets[0],
            "outputs": schema.classes or levels or schema.targets,
            "classes": schema.classes,
            "rows": (self.worked + 1).tolist(),
            "cells": [
                [_text(column, value) for (column, _), value in zip(schema.features, row, strict=True)]
                for row in table.x[self.worked].astype(np.float64) + schema.offsets
            ],
            "targets": packed(table.y[self.worked]),
            "range": self.range,
        }
        if self.axes:
            points = sample_rows(self.data.split.train, POINTS)
            x = table.x[points].astype(np.float64) + schema.offsets
            scene["points"] = {"actual": packed(table.y[points, 0]), "columns": packed(x.T)}
            scene["axes"] = [axis.tolist() for axis in self.axes]
            function = FUNCTIONS.get(getattr(self.run.data, "function", ""))  # that of synthetic rows
            scene["true"] = packed(function.values(self.grid)) if function else None
        return scene


def scene_of(data: RunData, run: ResolvedConfig) -> Scene:
    """Chooses what the film of a run shows of its table."""
    train = data.split.train
    y = data.table.y[train, 0]
    by_target = train[np.argsort(y, kind="stable")]
    worked = by_target[np.linspace(0, len(train) - 1, ROWS).round().astype(int)]
    return Scene(run, data, worked, (float(y.min()), float(y.max())), _axes(data))


def _axes(data: RunData) -> Sequence[Float64[np.ndarray, " value"]]:
    schema = data.table.schema
    are_numbers = all(column.kind == "numeric" for column in schema.inputs)
    if not are_numbers or len(schema.inputs) not in ((2,) if schema.classes else (1, 2)):
        return []
    x = data.table.x[data.split.train].astype(np.float64) + schema.offsets
    if np.isnan(x).any():
        return []
    count = 120 if len(schema.inputs) == 1 else MAP
    return [*np.linspace(x.min(0), x.max(0), count).T]


def input_names(schema: Schema, section: Preprocessing) -> list[str]:
    """Names of what preprocessing makes of the columns, in its order."""
    layout, names = FeatureLayout(schema.category_counts, schema.missing), _feature_names(schema)
    one_hot, embedded = layout.categorical(section)
    return [
        *(names[index] for index in layout.numeric),
        *(f"{names[index]} is missing" for index in layout.indicators),
        *(f"{names[index]} = {text}" for index in one_hot for text in schema.features[index][0].categories),
        *(f"{names[index]} ({k + 1})" for index in embedded for k in range(section.embedding_dim)),
    ]


def _feature_names(schema: Schema) -> list[str]:
    return [f"{column.name} {part}".rstrip() for column, part in schema.features]


def _text(column: Column, value: float) -> str:
    if np.isnan(value):
        return "missing"
    if column.categories:
        return column.categories[int(value)]
    if column.kind == "boolean":
        return str(bool(value)).lower()
    if column.kind == "date":
        value = round(value, 6)  # the sine of a month may be nearly 0
    return f"{value:.0f}" if value == round(value) else f"{value:.6g}"


def packed(values: Shaped[np.ndarray, "*shape"]) -> Plain:
    """An array as JSON: bytes as they are, all other numbers as float32."""
    kind = "uint8" if values.dtype == np.uint8 else "float32"
    content = np.ascontiguousarray(values, dtype=kind)
    return {"shape": values.shape, "type": kind, "data": base64.b64encode(content.tobytes()).decode()}
