"""Tables that settings are chosen on, and real ones that a seed draws: `listed.yaml`, and its readers."""
