"""scikit-learn's own checks of estimators."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator

from mlplab.sklearn import TableClassifier, TableRegressor

CHOSEN = """
check_estimators_unfitted check_dataframe_column_names_consistency check_methods_subset_invariance
check_classifiers_one_label check_regressor_multioutput check_fit2d_1sample
"""
"""The checks whose failures are worth knowing before all run."""

CHECK_ALL = """
from sklearn.utils.estimator_checks import check_estimator
from mlplab.sklearn import TableClassifier, TableRegressor

repeated = "of two equal rows, one may train and one choose the epoch; a row of weight 2 does one of both"
expected = {"check_sample_weight_equivalence_on_dense_data": repeated}
few = {"max_epochs": 20, "ensemble": 1}
for estimator in (TableRegressor(**few, lr=0.01), TableClassifier(**few)):
    checks = check_estimator(estimator, expected_failed_checks=expected, on_fail=None, on_skip=None)
    results = {result["check_name"]: result["status"] for result in checks}
    print(*(name for name, status in results.items() if status == "failed"))
    assert len(results) > 50
"""

CHECKS = [
    pytest.param(instance, check, id=f"{type(instance).__name__}-{name}")
    for estimator in (TableRegressor, TableClassifier)
    for instance, check in estimator_checks_generator(estimator(max_epochs=2, hidden=(8,), ensemble=1))
    if (name := getattr(check, "func", check).__name__) in CHOSEN.split()
]


@pytest.mark.filterwarnings("default")
@pytest.mark.usefixtures("full_speed")
@pytest.mark.parametrize(("estimator", "check"), CHECKS)
def test_the_contract_of_estimators_is_kept(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


@pytest.mark.slow
def test_the_whole_contract_is_kept() -> None:
    """In a process that checks no types: some checks give arguments of wrong ones."""
    done = subprocess.run([sys.executable, "-c", CHECK_ALL], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
