"""Layers with a leading member axis: the formula of each, and its derivative."""
