"""Where configuration files are: in a folder of the user's, and in the one that ships with mlplab."""

import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from omegaconf import OmegaConf

from mlplab.composition.hydra_errors import explained
from mlplab.errors import Fault, UserError, listed, nearest
from mlplab.typed_commands import PACKAGE, inside

CONFIG_NAME = "train"  # the file, without its ending, in which a configuration begins

# mlplab's own folder: in the package or, if that is not a wheel, in its clone.
SHIPPED = next(filter(Path.is_dir, (PACKAGE / "conf", PACKAGE.parents[1] / "conf")))

# The sections of which a configuration file is chosen by its name.
GROUPS = {".".join(path.relative_to(SHIPPED).parts) for path in SHIPPED.rglob("*") if path.is_dir()}

# Shows that a folder `conf` belongs to mlplab, and not to another program that uses Hydra.
MARKER = Path("mlplab.yaml")

log = logging.getLogger(__name__)


def config_folders(config_dir: str | None = None) -> list[Path]:
    """The folders of configuration files. A file of the first hides one of the same name in the next.

    Args:
        config_dir: the user's folder; None: `conf` in the current folder if it has a `mlplab.yaml`.

    Raises:
        UserError: if the user's folder does not exist, or has files that would never be read.
    """
    own = Path("conf" if config_dir is None else config_dir)
    if config_dir is None and not (own / MARKER).is_file():
        return [SHIPPED]
    if not own.is_dir():
        remedy = f"give a folder with files such as {own}/experiment/NAME.yaml"
        raise UserError(Fault("no such folder", "--config-dir", str(config_dir), remedy=remedy))
    if faults := [*_faults(own)]:
        raise UserError(*faults)
    return [own.resolve(), SHIPPED]


def log_own_files(folders: Sequence[Path]) -> None:
    """Logs which files the user's folder has."""
    for folder in folders[:-1]:
        files = listed(str(path) for path in _files(folder) if path != MARKER)
        log.info("using %s: %s", inside(folder), files or "no files")


def _files(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder) for path in folder.rglob("*.yaml"))


def _faults(own: Path) -> Iterator[Fault]:
    """What no command would read, and what Hydra must not read."""
    groups = {path.parent.as_posix() for path in _files(SHIPPED)} - {"."}
    for path in _files(own):
        where, folders = own / path, {folder.as_posix() for folder in path.parents}
        try:
            text = where.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            yield Fault("is not UTF-8", str(where), remedy="save it in that encoding")
            continue
        if path == Path(f"{CONFIG_NAME}.yaml"):
            with explained():
                cfg = OmegaConf.load(where)
                has_search_path = OmegaConf.is_dict(cfg) and OmegaConf.select(cfg, "hydra.searchpath")
            if has_search_path:  # Hydra would import packages that it names
                what, remedy = "is not supported by mlplab", "remove this setting"
                yield Fault(what, f"{where}: hydra.searchpath", remedy=remedy)
        elif groups.isdisjoint(folders) and (path != MARKER or re.search(r"^\s*[^#\s]", text, re.MULTILINE)):
            name = path.parent if path.parent.name else path.with_suffix("")
            [group, *_] = [*nearest(name.as_posix(), groups), "experiment"]
            remedy = f"move it to {own / group / path.name}, and choose it: {group}={path.stem}"
            yield Fault("is in no group, and would not be read", str(where), remedy=remedy)
