"""Trained runs and what they predict, alone and as ensembles. Needs torch, but not Lightning."""
