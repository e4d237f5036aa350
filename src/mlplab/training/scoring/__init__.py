"""Losses and metrics of each member, and what is chosen by them after training."""
