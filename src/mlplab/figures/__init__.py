"""Figures, drawn by Altair: functions of arrays and plain values that return charts."""

FIGURES = "figures"
"""The folder of figures in the folder of a run or a sweep."""
