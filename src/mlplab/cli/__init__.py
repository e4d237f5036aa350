"""The command line: Hydra's composition, overrides, messages and exit codes."""
