"""Scores of predictions beside those of training."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, recall_score

from mlplab.data.schema import Schema
from mlplab.runs.scores import rare_class_scores


@pytest.mark.parametrize(("rare", "label"), [(0, "ALARM"), (1, "OK")])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_rare_class_is_scored_by_itself(rare: int, label: str, *, weighted: bool) -> None:
    """As by scikit-learn with `pos_label`; the average precision of the second class is in other scores."""
    source = np.random.default_rng(0)
    is_rare = source.random(200) < 0.1
    y, p = np.where(is_rare, rare, 1 - rare), (0.3 * is_rare + source.random(200) / 2).round(2)
    probabilities = np.column_stack([1 - p, p] if rare else [p, 1 - p])
    weight = source.random(200) if weighted else None
    schema = Schema((), ("y",), ("ALARM", "OK"))
    found = rare_class_scores(schema, probabilities, y[:, None].astype(float), weight, 0.4)
    predicted = (probabilities[:, 1] >= 0.4).astype(int)
    expected = {f"recall/{label}": recall_score(y, predicted, pos_label=rare, sample_weight=weight)}
    if rare == 0:
        precision = average_precision_score(y, p, pos_label=0, sample_weight=weight)
        expected["average_precision/ALARM"] = precision
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("y", [[0, 1, 0, 1], [1, 1, 1, 1]])
def test_no_class_is_rare(y: list[float]) -> None:
    schema = Schema((), ("y",), ("no", "yes"))
    assert not rare_class_scores(schema, np.full((4, 2), 0.5), np.array(y, float)[:, None], None, 0.5)
