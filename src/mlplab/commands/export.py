"""The command export: trained runs as an ONNX model, and a page that says how to use it."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import polars as pl

from mlplab.commands.arguments import Export
from mlplab.commands.evaluation_rows import NewRows, opened_rows
from mlplab.conformal.intervals import Levels
from mlplab.data.cells.parse import named
from mlplab.data.load_table import opened_source
from mlplab.data.new_rows import check_columns
from mlplab.errors import UserError, refusal
from mlplab.files import check_output, replacing
from mlplab.onnx.check import check_model, model_card
from mlplab.onnx.model import onnx_model
from mlplab.runs.predictions import check_levels
from mlplab.runs.run_archive import is_run_file
from mlplab.runs.trained.ensemble import Ensemble
from mlplab.runs.trained.load import load_runs

ONNX = ".onnx"


def export(options: Export) -> tuple[Path, str]:
    """Writes a model that takes the columns of a table and predicts as `predict` does, and a page about it.

    Of `price.onnx`, the page is `price.md`.

    Returns:
        The model, and how it compares with the networks it was made of.

    Raises:
        UserError: if there is no finished run or no table, ONNX cannot express the network, or a file would
            be replaced that must not be.
    """
    run = Path(options.run)
    default = run / "model.onnx" if run.is_dir() else run.with_suffix(ONNX)
    output, is_own = Path(options.output or default), not options.output and not is_run_file(run)
    check_output(output, overwrite=options.overwrite or is_own)
    ensemble = load_runs(run, options.runs)
    return output, write_model(ensemble, output, options.data_path, options.interval, options.sets)


def write_model(
    ensemble: Ensemble, output: Path, data: NewRows | None, interval: Levels = (), sets: Levels = ()
) -> str:
    """Writes the model of an ensemble, as `export`; `data` may be a frame."""
    card = output.with_suffix(".md")
    if output.suffix != ONNX:
        raise refusal("is no name of an ONNX model", output, f"give one that ends in {ONNX}")
    check_output(output, overwrite=True)
    if card.exists() and not card.read_bytes().startswith(f"# {output.name}\n".encode()):
        raise refusal(f"exists, and is not the page of {output.name}", card, "choose another name: output=…")
    check_levels(ensemble.runs, interval, sets)
    rows, decimal_comma = _rows_to_check(ensemble, data)
    levels = [*interval, *sets]
    model = onnx_model(ensemble, levels)
    content = model.SerializeToString()
    check = check_model(content, ensemble, rows, levels, decimal_comma=decimal_comma).sentence
    page = model_card(output.name, model, ensemble, check)
    for path, written in ((output, content), (card, page.encode())):
        with replacing(path, synced=False) as partial:
            partial.write_bytes(written)
    return check


def _rows_to_check(ensemble: Ensemble, data: NewRows | None) -> tuple[pl.DataFrame, bool]:
    """The first rows of the data, or of the first run's table; and whether numbers have a decimal comma."""
    names = ensemble.schema.names
    with ExitStack() as files:
        if data is not None:
            source = files.enter_context(opened_rows(data, ensemble.runs[0]))
        else:
            try:
                source = files.enter_context(opened_source(ensemble.config[0].data))
            except UserError as error:
                remedy = "give other rows on which to check the model: data.path=…"
                raise UserError(*(replace(fault, remedy=remedy) for fault in error.faults)) from error
        check_columns(ensemble.schema, list(source.schema), source.where)
        rows = next(source.blocks(10_000, names), pl.DataFrame())
        if not rows.height:
            raise refusal("has no rows", source.where, "give it rows of data")
        return rows.select(map(named, names)), source.decimal_comma
