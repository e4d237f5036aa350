"""Loads trained runs: of a run, a sweep, a chosen ensemble, or a file; saves them as one file."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from mlplab.errors import listed, refusal
from mlplab.files import check_output, write_json
from mlplab.pages import load_template
from mlplab.runs import checkpoint
from mlplab.runs.compare.ranking import check_no_choice, select_runs
from mlplab.runs.discovery import ChosenEnsemble
from mlplab.runs.folder import write_config
from mlplab.runs.run_archive import is_run_file, pack, unpacked
from mlplab.runs.trained.ensemble import Ensemble
from mlplab.runs.trained.trained_run import TrainedRun


def load_runs(path: str | Path, runs: str | int = "best") -> Ensemble:
    """Loads a run's best checkpoint, or those of a sweep's finished runs as an ensemble.

    Args:
        path: the folder of a run or a sweep, or the file of a chosen ensemble or of saved runs, of which all
            are loaded.
        runs: which runs of a sweep to load, as in `select_runs`.

    Raises:
        UserError: if there is no finished run, or a checkpoint is damaged, contains code, or belongs to
            another run.
    """
    path = Path(path)
    with unpacked(path) as folder:
        chosen = next(folder.glob("ensemble-*.json"), None) if is_run_file(path) else path
        if chosen is None or not chosen.is_file():
            folders, weights = select_runs(folder, runs), None
        else:
            check_no_choice(runs, "a chosen ensemble")
            by_name = ChosenEnsemble.read(chosen).runs
            folders, weights = [chosen.parent / name for name in by_name], [*by_name.values()]
        loaded = [TrainedRun.read(each) for each in folders]
        if is_run_file(path):  # whose folders go
            loaded = [replace(run, folder=path) for run in loaded]
        return Ensemble(loaded, weights)


def load_together(paths: Sequence[Path], runs: str | int = "best") -> Ensemble:
    """Loads several runs or sweeps as one ensemble, in which each of them has the same weight.

    Raises:
        UserError: as `load_runs`, or if there is none, or their columns differ.
    """
    if not paths:
        raise refusal("is empty", "path", "give the folders of runs")
    parts = [load_runs(path, runs) for path in paths]
    weights = [weight / len(parts) for part in parts for weight in part.weights.tolist()]
    return Ensemble([run for part in parts for run in part.runs], weights)


def save(ensemble: Ensemble, path: Path, *, seen: bool = False, overwrite: bool = True) -> None:
    """Writes a file that `mlplab.load` and all commands take; it contains no rows of the table, and no code.

    Args:
        seen: whether it has hashes of the rows in training and validation. Without them, `evaluate` cannot
            leave out such rows of other tables.
        overwrite: whether the file may exist.

    Raises:
        UserError: if the file cannot be written, or the hashes are unknown.
    """
    check_output(path, overwrite=overwrite)
    several = len(ensemble.runs) > 1
    with TemporaryDirectory(prefix="mlplab-") as temporary:
        root = Path(temporary)
        for number, run in enumerate(ensemble.runs):
            folder = root / str(number) if several else root
            (folder / "checkpoints").mkdir(parents=True)
            if seen and run.seen is None:
                what = "was saved without the hashes of rows in training"
                raise refusal(what, run.folder, "save the run from its own folder")
            content = run.content(seen=seen)
            write_config(folder, content["config"])
            write_json(folder / "metrics.json", run.metrics, synced=False)
            write_json(folder / "schema.json", content["schema"], synced=False)
            checkpoint.save(folder / "checkpoints" / "best.ckpt", content)
        if several:
            weights = {str(number): weight for number, weight in enumerate(ensemble.weights.tolist())}
            ChosenEnsemble(weights).write(root / f"ensemble-{len(weights)}.json")
        pack(root, path)


def contained_values(ensemble: Ensemble, *, kind: str, seen: bool) -> list[str]:
    """What a `model` contains of the table: what networks know; or a `file`: also what commands need.

    Args:
        seen: whether a file has hashes of the rows in training and validation.
    """
    template = load_template(Path(__file__).parent / "contained.jinja")
    return template.render(ensemble=ensemble, kind=kind, seen=seen, listed=listed).splitlines()
