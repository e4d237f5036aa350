"""Trained runs in one file: a zip archive of what their folders hold to use them. Imports no torch."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from mlplab.errors import Fault, UserError, refusal
from mlplab.files import check_archive, replacing
from mlplab.runs.discovery import finished_run

SUFFIX = ".mlplab"

# The names in an archive: of a run, or with a number of each run of an ensemble. 1.0 also wrote `model.md`.
MEMBERS = re.compile(
    r"(\d+/)?(config\.yaml|metrics\.json|schema\.json|checkpoints/best\.ckpt)|ensemble-\d+\.json|model\.md"
)

REMEDY = "copy the file again from an intact one, or save the run again"


def is_run_file(path: Path) -> bool:
    """Whether a path is that of such a file."""
    return path.suffix.lower() == SUFFIX and not path.is_dir()


def pack(folder: Path, path: Path) -> None:
    """Writes the files in a folder to an archive; the same files give the same bytes."""
    with replacing(path) as partial, ZipFile(partial, "w", ZIP_STORED) as archive:
        for file in sorted(file for file in folder.rglob("*") if file.is_file()):
            archive.writestr(ZipInfo(file.relative_to(folder).as_posix()), file.read_bytes())


def unpack(path: Path, folder: Path) -> None:
    """Writes the files of an archive, which may come from a stranger, to a new folder.

    Raises:
        UserError: if there is no such file, or mlplab cannot have written it.
    """
    if not path.is_file():
        what = "is not a regular file" if path.exists() else "no such file"
        raise refusal(what, path, f"relative paths start at {Path.cwd()}")
    try:
        with ZipFile(path) as archive:
            check_archive(archive, path)
            names = Counter(archive.namelist())
            if unknown := [name for name in names if not MEMBERS.fullmatch(name)]:
                raise BadZipFile(f"it contains {unknown[0]!r}")
            if twice := [name for name, count in names.items() if count > 1]:
                raise BadZipFile(f"it contains {twice[0]!r} twice")
            archive.extractall(folder)
    # zipfile raises NotImplementedError for a compression that it lacks, and RuntimeError for a password.
    except (BadZipFile, NotImplementedError, EOFError, OSError, RuntimeError, ValueError) as error:
        raise refusal(f"is damaged: {error}", path, REMEDY) from error


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The folder of the runs that such a file contains, for a while; any other path itself.

    Messages name the file.

    Raises:
        UserError: as `unpack`.
    """
    if not is_run_file(path):
        yield path
        return
    with TemporaryDirectory(prefix="mlplab-") as temporary:
        folder = Path(temporary, path.name)
        unpack(path, folder)
        try:
            yield folder
        except UserError as error:
            parts = (vars(fault).values() for fault in error.faults)
            named = ([text.replace(str(folder), str(path)) for text in texts] for texts in parts)
            raise UserError(*(Fault(*texts) for texts in named)) from error


def check_finished(path: Path, key: str) -> None:
    """Checks that a folder or a file, which the key `key` gave, is that of one finished run.

    Raises:
        UserError: otherwise.
    """
    with unpacked(path) as folder:
        finished_run(folder, key)
