"""What the commands do: each takes values, no configuration object of Hydra's."""
