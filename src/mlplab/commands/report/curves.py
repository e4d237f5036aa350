"""The curves of a run, from the event files that TensorBoard reads."""

import math
import struct
from collections.abc import Collection, Iterator
from pathlib import Path

from google.protobuf.message import DecodeError
from tensorboard.compat.proto.event_pb2 import Event

from mlplab.figures.learning_curves import Curve

EVENT_FILES = "events.out.tfevents.*"

LENGTH, CHECKSUM = struct.Struct("<Q"), 4
"""The length of a record, and the bytes of a checksum."""

MOST_POINTS = 300
"""Points of a curve that a chart shows at most."""


def read_curves(run: Path, names: Collection[str], most: int = MOST_POINTS) -> dict[str, Curve]:
    """The finite points of some curves by epoch, at most `most` of each; empty curves are left out.

    A run that was resumed has several files; of points of the same epoch, the last counts. What follows
    damage in a file is left out.
    """
    points: dict[str, dict[int, float]] = {name: {} for name in names}
    for path in sorted(run.rglob(EVENT_FILES)):
        _read(path, points)
    curves = {name: thinned(sorted(curve.items()), most) for name, curve in points.items()}
    return {name: curve for name, curve in curves.items() if curve}


def _read(path: Path, points: dict[str, dict[int, float]]) -> None:
    tags = [tag.encode() for tag in points]
    try:
        for record in _records(path.read_bytes()):
            if not any(tag in record for tag in tags):  # parsing takes longer than reading
                continue
            event = Event.FromString(record)
            for value in event.summary.value:
                is_point = value.tag in points and value.HasField("simple_value") and event.step > 0
                if is_point and math.isfinite(value.simple_value):
                    points[value.tag][event.step] = value.simple_value
    except (DecodeError, OSError):
        pass  # what has been read until then is shown


def _records(content: bytes) -> Iterator[bytes]:
    """The complete records of an event file, each of which stands between its length and checksums.

    The checksums are left alone: TensorBoard's own reader computes them in Python, which takes nine tenths of
    its time.
    """
    start = 0
    while start + LENGTH.size <= len(content):
        (length,) = LENGTH.unpack_from(content, start)
        start += LENGTH.size + CHECKSUM
        if start + length + CHECKSUM > len(content):
            return
        yield content[start : start + length]
        start += length + CHECKSUM


def thinned(curve: Curve, most: int) -> Curve:
    """At most `most` points of a curve, evenly spaced, with the first and the last."""
    if len(curve) <= most:
        return curve
    step = (len(curve) - 1) / (most - 1)
    return [curve[round(index * step)] for index in range(most)]
