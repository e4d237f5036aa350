"""The curves of a run, from the event files that TensorBoard reads. Imports no torch."""

import math
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event

from mlplab.figures import Curve

MOST_POINTS = 300
"""Points of a curve that a chart shows at most."""


def read_curves(run: Path, names: Collection[str], most: int = MOST_POINTS) -> dict[str, Curve]:
    """The finite points of some curves by epoch, at most `most` of each; empty curves are left out.

    A run that was resumed has several files; of points of the same epoch, the last counts. What follows
    damage in a file is left out.
    """
    points: dict[str, dict[int, float]] = {name: {} for name in names}
    tags = [name.encode() for name in names]
    for path in sorted(run.rglob("events.out.tfevents.*")):
        with suppress(Exception):  # a damaged file may raise anything; what was read before is shown
            for record in RawEventFileLoader(str(path)).Load():
                if any(tag in record for tag in tags):  # parsing takes longer than reading
                    _add(Event.FromString(record), points)
    return thinned({name: sorted(curve.items()) for name, curve in points.items()}, most)


def thinned(curves: Mapping[str, Curve], most: int = MOST_POINTS) -> dict[str, Curve]:
    """At most `most` points of each curve, evenly spaced, with the first and the last; none of empty ones."""
    return {
        name: [curve[place] for place in _places(len(curve), most)] for name, curve in curves.items() if curve
    }


def _add(event: Event, points: dict[str, dict[int, float]]) -> None:
    for value in event.summary.value:
        is_point = value.tag in points and value.HasField("simple_value") and event.step > 0
        if is_point and math.isfinite(value.simple_value):
            points[value.tag][event.step] = value.simple_value


def _places(count: int, most: int) -> list[int]:
    return np.linspace(0, count - 1, min(most, count)).round().astype(int).tolist()
