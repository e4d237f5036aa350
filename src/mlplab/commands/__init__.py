"""The work of the commands, which take plain values instead of Hydra objects."""
