"""Sweeps: many runs from one command, those that share a shape trained in lockstep."""
