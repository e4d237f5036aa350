"""Simple models that a network should beat, fitted to the same rows."""
