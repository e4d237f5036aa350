"""Mistakes of users, and the answer that each of them gets."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from support import Command, Ended, assert_short_answer

from mlplab.errors import MAX_CHARACTERS, MAX_LINES, UserError

Files = Mapping[str, str | bytes | pl.DataFrame]
Given = str | bytes | Files | Callable[[Path], object]


@dataclass(frozen=True)
class Mistake:
    """A command that is refused: the files that it finds, or what makes them, and parts of the message."""

    name: str
    prepare: Files | Callable[[Path], object]
    arguments: Sequence[str]
    said: Sequence[str]


def mistake(name: str, files: Given, arguments: str | Sequence[str], said: str) -> Mistake:
    """A mistake in t.csv or several files; spaces separate arguments, | separates parts of the message."""
    given = {"t.csv": files} if isinstance(files, str | bytes) else files
    words = arguments.split() if isinstance(arguments, str) else arguments
    return Mistake(name, given, words, said.split(" | "))


def each(mistakes: Sequence[Mistake]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("mistake", mistakes, ids=lambda mistake: mistake.name)


def write_files(folder: Path, files: Files) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, pl.DataFrame):
            content.write_parquet(path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)


def contents(folder: Path) -> dict[Path, bytes | None]:
    """All files in a folder with their bytes, and all folders."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def assert_refused(mistake: Mistake, folder: Path, run: Command) -> Ended:
    """A command gets a short answer with status 2, and changes no file."""
    if callable(mistake.prepare):
        mistake.prepare(folder)
    else:
        write_files(folder, mistake.prepare)
    before = contents(folder)
    ended = run(*mistake.arguments)
    assert_short_answer(ended, mistake.said)
    assert contents(folder) == before
    return ended


def message_of(work: Callable[[], object]) -> str:
    with pytest.raises(UserError) as error:
        work()
    message = str(error.value)
    assert len(message) <= MAX_CHARACTERS
    assert len(message.splitlines()) <= MAX_LINES
    return message
