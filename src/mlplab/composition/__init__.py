"""Composition: the configurations of runs and sweeps, by Hydra from files and overrides."""
