"""Sweeps: many runs from one command, trained in lockstep if they have the same shape."""
