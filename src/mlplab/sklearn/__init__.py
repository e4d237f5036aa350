"""Estimators for scikit-learn, and cross-validation whose fits train in lockstep."""

from mlplab.sklearn.estimators import TableClassifier, TableRegressor
from mlplab.sklearn.model_selection import cross_validate, grid_search

__all__ = ["TableClassifier", "TableRegressor", "cross_validate", "grid_search"]
