import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from mlplab.training.scoring.scores import first_class_scores


@pytest.mark.parametrize("weighted", [False, True])
def test_the_average_precision_of_a_rare_first_class(*, weighted: bool) -> None:
    """As by scikit-learn with `pos_label`; there is none of a class that is not rare."""
    source = np.random.default_rng(0)
    is_alarm = source.random(200) < 0.1
    p = (0.3 * is_alarm + source.random(200) / 2).round(2)
    weight = source.random(200) if weighted else None
    y, predicted = 1.0 - is_alarm[:, None], np.column_stack([p, 1 - p])
    expected = average_precision_score(is_alarm, p, sample_weight=weight)
    found = first_class_scores(("ALARM", "OK"), predicted, y, weight)
    assert found == {"average_precision/ALARM": pytest.approx(expected)}
    for frequent in (np.ones((200, 1)), 1 - y):
        assert not first_class_scores(("ALARM", "OK"), predicted, frequent, None)
