"""Figures, drawn by Altair: each takes arrays or values and returns a chart. Knows neither torch nor runs."""
