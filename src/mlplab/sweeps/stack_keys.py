"""The keys in which the members of a stack may differ. Imports no torch."""

from typing import Any

PER_MEMBER: dict[str, Any] = {
    "name": True,
    "seed": True,
    "threshold": True,
    "threshold_metric": True,
    "data": {"split", "fingerprint"},
    "model": {"activation", "dropout"},
    "loss": {"delta", "label_smoothing"},
    "optimizer": {
        *("lr", "betas", "eps", "weight_decay", "momentum"),
        *("lr_factors", "weight_decay_factors", "lr_by_fan_in"),
    },
    "scheduler": True,
    "callbacks": {"early_stopping"},
    "init_from": True,
    "baselines": True,
    "test": True,
    "test_predictions": True,
}
"""Keys in which the members of a stack may differ."""


def may_differ(key: str) -> bool:
    """Whether the members of a stack may differ in a key, or in all keys of a group."""
    section, _, rest = key.replace("/", ".").partition(".")
    keys = PER_MEMBER.get(section, set())
    return keys is True or rest.partition(".")[0] in keys
