"""Figures, drawn by Altair: functions of arrays and plain values that return charts."""

FIGURES = "figures"
"""The folder of figures in the folder of a run or a sweep."""

OF_IMPORTANCE = ("importance", "partial_dependence")
"""Figures that `evaluate.py importance=true` draws, not training."""

OF_RUN = {
    "predicted_vs_actual": "Predicted and actual values",
    "confusion": "Confusion",
    "residuals": "Residuals",
    "roc_and_precision_recall": "ROC, and precision and recall",
    "calibration": "Calibration",
    "fitted": "What the network has learned",
    "error_by_part": "Where the errors are largest",
}
"""The figures of a run, in the order in which they are read, and titles of those without one. A run has the
figures that fit its task and its columns."""
