"""Runs that train together, from their configurations to their checkpoints and scores."""
