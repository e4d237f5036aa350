"""Run folders: training, resuming and loading runs."""
