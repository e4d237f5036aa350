"""Saves trained runs as one file: networks, schema, configuration, scores, errors and a page about them."""

from pathlib import Path
from tempfile import TemporaryDirectory

from mlplab.data.schema import column_rows
from mlplab.errors import refusal
from mlplab.files import check_output, write_json
from mlplab.runs import checkpoint
from mlplab.runs.folder import write_config
from mlplab.runs.run_file import pack
from mlplab.runs.trained.card import TEMPLATES, page
from mlplab.runs.trained.chosen_ensemble import ChosenEnsemble
from mlplab.runs.trained.ensemble import Ensemble


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
            ChosenEnsemble(weights, {}).write(root / f"ensemble-{len(weights)}.json")
        template, rows = TEMPLATES / "file.md.jinja", column_rows(ensemble.schema)
        card = page(template, ensemble, name=path.name, kind="file", seen=seen, rows=rows)
        (root / "model.md").write_text(card, encoding="utf-8")
        pack(root, path)
