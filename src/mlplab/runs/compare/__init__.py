"""Compares runs by their configurations and scores, and selects the best. Imports no torch."""
