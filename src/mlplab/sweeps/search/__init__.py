"""Searches: sweeps in which Optuna chooses the values of each batch of runs by the results so far."""
