"""Engines that train the stacks of a sweep: on this machine, as Slurm jobs, or in a Ray cluster."""
