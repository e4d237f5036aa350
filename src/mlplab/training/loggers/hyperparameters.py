"""The hyperparameters of a run, as loggers get them."""

from mlplab import config
from mlplab.config.keys import flat

LEFT_OUT = (
    *("name", "threads", "figures", "baselines", "test", "data.memory_gib"),
    *("logger.", "callbacks.checkpoint.", "callbacks.histograms."),
)
"""Starts of keys that change nothing about the network: where and how fast it trains, and what is written."""


def hyperparameters(run: config.TrainConfig) -> dict[str, str | float | int | bool]:
    """The values of all other keys of a run's configuration; lists and null as text."""
    values = {key: value for key, value in flat(run.plain()) if not key.startswith(LEFT_OUT)}
    return {
        key: value if isinstance(value, str | float | int) else _text(value) for key, value in values.items()
    }


def _text(value: object) -> str:
    return "null" if value is None else str(value).replace(" ", "")
