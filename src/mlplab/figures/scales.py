"""Scales of axes: linear, or logarithmic for values that spread over orders of magnitude."""

import math
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import altair as alt

NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]\d+)?")

FAR = 30
"""The ratio of the largest to the smallest value from which an axis is logarithmic."""

FEW = 8
"""Different values up to which they are likely to have been typed, not sampled."""

PADDING = 15
"""Pixels beside the values of a key."""

OUTLIER = 4
"""How many times as far from the best as most scores the worst may be, and be on the axis."""

MARGIN = 0.05
"""The share of an axis of scores beyond the scores on it; its edge is twice as far."""


def spreads_far(values: Collection[float]) -> bool:
    """Whether values are positive and spread so far that a linear axis would hide the small ones."""
    return bool(values) and min(values) > 0 and max(values) > FAR * min(values)


def is_geometric(values: Collection[float]) -> bool:
    """Whether the values of a key spread far, or are clearly more even as logarithms."""
    distinct = sorted(set(values))
    if spreads_far(distinct) or len(distinct) < 3 or distinct[0] <= 0:
        return spreads_far(distinct)
    uneven = _unevenness if len(distinct) <= FEW else _skewness
    return uneven([math.log(each) for each in distinct]) < 0.9 * uneven(distinct)


def _unevenness(ordered: Sequence[float]) -> float:
    """The largest gap between neighbours over the smallest."""
    gaps = [right - left for left, right in pairwise(ordered)]
    return max(gaps) / min(gaps) if min(gaps) > 0 else math.inf


def _skewness(ordered: Sequence[float]) -> float:
    """How far the median is from the middle, as a share of the range."""
    low, high = ordered[0], ordered[-1]
    return abs(median(ordered) - (low + high) / 2) / (high - low) if high > low else math.inf


def scale_of(values: Collection[float]) -> alt.Scale:
    """The scale of an axis for scores. It does not start at zero."""
    return alt.Scale(type="log", nice=False) if spreads_far(values) else alt.Scale(zero=False)


@dataclass(frozen=True)
class ScoreAxis:
    """An axis on which most scores can be told apart, however bad the worst are.

    Attributes:
        is_log: whether it is logarithmic.
        domain: its ends.
        best: the best score.
        worst: the worst score on the axis.
        end: the end of the axis, where its edge begins.
        edge: where all worse scores are drawn.
        has_edge: whether there is anything to draw there.
    """

    is_log: bool
    domain: tuple[float, float]
    best: float
    worst: float
    end: float
    edge: float
    has_edge: bool

    @property
    def scale(self) -> alt.Scale:
        """The scale of a channel."""
        return alt.Scale(
            type="log" if self.is_log else "linear", domain=[*self.domain], nice=False, zero=False
        )

    def leaves_out(self, score: float) -> bool:
        """Whether a score is drawn at the edge; NaN is."""
        return not min(self.best, self.worst) <= score <= max(self.best, self.worst)

    def place(self, score: float) -> float:
        """Where a score is drawn."""
        return self.edge if self.leaves_out(score) else score


def score_axis(scores: Sequence[float], most: int, *, with_edge: bool = False) -> ScoreAxis:
    """An axis on which the best scores have at least half of the space, if there are outliers.

    Args:
        scores: finite scores, best first; at least one.
        most: the number of those best scores.
        with_edge: whether there is something at the edge in any case.
    """
    sign = 1 if scores[0] <= scores[-1] else -1
    is_log = sign > 0 and spreads_far(scores[:most])
    on_axis, score_at = (math.log, math.exp) if is_log else (float, float)
    best, usual = on_axis(scores[0]), on_axis(scores[most - 1])
    reach = abs(usual - best)
    worst = scores[-1]
    if reach and abs(on_axis(worst) - best) > OUTLIER * reach:
        worst = [score for score in scores if abs(on_axis(score) - best) <= 2 * reach][-1]
    margin = MARGIN * ((on_axis(worst) - best) or sign)
    end, edge = on_axis(worst) + margin, on_axis(worst) + 2 * margin
    has_edge = with_edge or worst != scores[-1]
    low, high = sorted((score_at(best - margin), score_at(edge + margin if has_edge else end)))
    return ScoreAxis(is_log, (low, high), scores[0], worst, score_at(end), score_at(edge), has_edge)


def scale_of_key(*, is_log: bool) -> alt.Scale:
    """The scale of an axis for the values of a key."""
    if is_log:
        return alt.Scale(type="log", nice=False, padding=PADDING)
    return alt.Scale(zero=False, nice=False, padding=PADDING)


def rounded(value: float) -> float:
    """A value with the digits that a chart can show: specifications hold many of them."""
    return float(f"{value:.5g}")


def in_order(texts: Iterable[str]) -> list[str]:
    """Distinct texts, sorted by the numbers in them: `[8]`, `[8,8]`, `[16]`."""
    return sorted(set(texts), key=lambda text: ([float(each) for each in NUMBER.findall(text)], text))
