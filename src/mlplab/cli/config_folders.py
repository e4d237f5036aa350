"""Where configuration files are: in a folder of the user's, and in the one that ships with mlplab."""

import logging
from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf

from mlplab.cli.hydra_errors import explained
from mlplab.did_you_mean import did_you_mean, nearest
from mlplab.errors import Fault, UserError, listed
from mlplab.typed_commands import PACKAGE, inside

CONFIG_NAME = "train"
"""The file, without its ending, in which a configuration begins."""

MARKER = "mlplab.yaml"
"""Shows that a folder `conf` belongs to mlplab, and not to another program that uses Hydra."""

log = logging.getLogger(__name__)


def config_folders(config_dir: str | None = None, shipped: Path | None = None) -> list[Path]:
    """The folders of configuration files. A file of the first hides one of the same name in the next.

    Args:
        config_dir: the user's folder; None: `conf` in the current folder if it has a `mlplab.yaml`.
        shipped: mlplab's own; None: `conf` in the package or, if that is not a wheel, in its clone.

    Raises:
        UserError: if the user's folder does not exist, or has files that would never be read.
    """
    shipped = shipped or next(filter(Path.is_dir, (PACKAGE / "conf", PACKAGE.parents[1] / "conf")))
    own = Path("conf" if config_dir is None else config_dir)
    if config_dir is None and not (own / MARKER).is_file():
        return [shipped]
    if not own.is_dir():
        remedy = f"give a folder with files such as {own}/experiment/NAME.yaml"
        raise UserError(Fault("no such folder", "--config-dir", str(config_dir), remedy=remedy))
    if own.samefile(shipped):
        return [shipped]
    if faults := _faults(own, _groups(shipped)):
        raise UserError(*faults)
    return [own.resolve(), shipped]


def log_own_files(folders: Sequence[Path]) -> None:
    """Logs which files of the user's folder are new, and which hide one of mlplab's."""
    *own, shipped = folders
    for folder in own:
        files, known = _files(folder), set(_files(shipped))
        added = listed(str(path) for path in files if path not in known and path.name != MARKER)
        hiding = listed(str(path) for path in files if path in known)
        shown = [f"{added} added" * bool(added), f"{hiding} instead of mlplab's" * bool(hiding)]
        log.info("using %s: %s", inside(folder), "; ".join(filter(None, shown)) or "no files")


def _files(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder) for path in folder.rglob("*.yaml"))


def _search_path(primary: Path) -> object:
    with explained():
        cfg = OmegaConf.load(primary)
        return OmegaConf.is_dict(cfg) and OmegaConf.select(cfg, "hydra.searchpath")


def _is_utf_8(path: Path) -> bool:
    try:
        path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _groups(shipped: Path) -> set[str]:
    return {path.parent.as_posix() for path in _files(shipped)} - {"."}


def _faults(own: Path, groups: set[str]) -> list[Fault]:
    """What no command could read: files and folders that are no options, and values in the marker."""
    unreadable = [str(own / path) for path in _files(own) if not _is_utf_8(own / path)]
    if faults := [Fault("is not UTF-8", path, remedy="save it in that encoding") for path in unreadable]:
        return faults
    for path in own.glob("*.yaml"):
        name, option = path.stem, own / "experiment"
        if path.name == MARKER:
            lines = path.read_text(encoding="utf-8").splitlines()
            if any(line.strip() and not line.lstrip().startswith("#") for line in lines):
                what = f"only marks {own} as a folder of mlplab, and may hold nothing but comments"
                remedy = f"write values to {option / 'NAME.yaml'}, and choose it: experiment=NAME"
                faults.append(Fault(what, str(path), remedy=remedy))
        elif name in groups:
            remedy = f"move it to {own / name / 'NAME.yaml'}, and choose it: {name}=NAME"
            faults.append(Fault("is named like a group, and would not be read", str(path), remedy=remedy))
        elif name != CONFIG_NAME:
            remedy = f"move it to {option}, and choose it: experiment={name}"
            faults.append(Fault("is in no group, and would not be read", str(path), remedy=remedy))
        elif _search_path(path):  # Hydra would import packages that it names
            remedy = "remove this setting"
            faults.append(Fault("is not supported by mlplab", f"{path}: hydra.searchpath", remedy=remedy))
    folders = [path.parent for path in _files(own) if path.parent != Path()]
    unknown = {
        each.as_posix() for each in folders if groups.isdisjoint(map(Path.as_posix, (each, *each.parents)))
    }
    for group in sorted(unknown):
        remedy = did_you_mean(
            nearest(group, groups), f"{own}/", f"the groups are: {', '.join(sorted(groups))}"
        )
        faults.append(Fault("is no group of mlplab", f"{own}/{group}", remedy=remedy))
    return faults
