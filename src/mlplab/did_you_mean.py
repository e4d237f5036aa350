"""Suggestions for mistyped names."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


def did_you_mean(near: Sequence[str], key: str = "", otherwise: str = "") -> str:
    """A remedy that suggests the first of the `nearest` names, after `key`; `otherwise` if there is none."""
    return f"did you mean {key}{near[0]}?" if near else otherwise


def nearest(word: str, names: Iterable[str], least: float = 0.6) -> list[str]:
    """The names closest to a mistyped `word`, best first; empty if none is as similar as `least`, of 1."""
    return get_close_matches(word, list(names), n=3, cutoff=least)
