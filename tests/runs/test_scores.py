"""Scores of predictions beside those of training."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from mlplab.data.schema import Schema
from mlplab.training.scoring.scores import first_class_scores

SCHEMA = Schema((), ("y",), ("ALARM", "OK"))


@pytest.mark.parametrize("weighted", [False, True])
def test_the_average_precision_of_a_rare_first_class(*, weighted: bool) -> None:
    """As by scikit-learn with `pos_label`."""
    source = np.random.default_rng(0)
    is_alarm = source.random(200) < 0.1
    p = (0.3 * is_alarm + source.random(200) / 2).round(2)
    weight = source.random(200) if weighted else None
    found = first_class_scores(SCHEMA.classes, np.column_stack([p, 1 - p]), 1.0 - is_alarm[:, None], weight)
    expected = average_precision_score(is_alarm, p, sample_weight=weight)
    assert found == {"average_precision/ALARM": pytest.approx(expected)}


@pytest.mark.parametrize("alarms", [0, 2, 4, 5])
def test_no_class_is_rare_or_it_is_the_second(alarms: int) -> None:
    y = (np.arange(5.0) >= alarms)[:, None].astype(float)
    assert not first_class_scores(SCHEMA.classes, np.full((5, 2), 0.5), y, None)
