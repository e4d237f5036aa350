"""Figures, drawn by Altair: functions of arrays and plain values that return charts."""
