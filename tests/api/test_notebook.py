import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from support import ROOT


@pytest.mark.slow
def test_the_notebook_runs_and_each_training_shows_one_line(tmp_path: Path) -> None:
    notebook = nbformat.read(ROOT / "docs/notebook.ipynb", 4)
    few = {r"(max_epochs\W+)60": r"\g<1>2", r"KFold\(5": "KFold(2"}
    for cell in notebook.cells:
        for pattern, written in few.items():
            cell.source = re.sub(pattern, written, cell.source)
    held_out = nbformat.v4.new_code_cell("concrete.join(new, on=table.columns, how='semi').height")
    notebook.cells.append(held_out)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = {cell.source: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}
    assert len(outputs) == 10
    assert outputs[held_out.source][0].data["text/plain"] == "0"
    for source, shown in outputs.items():
        kinds = [output.output_type for output in shown]
        trains = source.startswith(("run = mlplab.train", "search = mlplab.search"))
        assert kinds == [*["display_data"] * (1 + ("search" in source)) * trains, "execute_result"], source
    [of_training] = [shown for source, shown in outputs.items() if "mlplab.train" in source]
    assert of_training[0].data["text/plain"] == "test scores and baselines"
    assert "<svg" in of_training[1].data["text/html"]
    assert not list(tmp_path.iterdir())
