"""Tables in Markdown."""

from mlplab.markdown import markdown_table


def test_cells_cannot_end_a_cell_or_a_row() -> None:
    table = markdown_table(["a|b", "c"], [["1\n2", "|"], ["", "x\r\ny"]])
    assert table.splitlines() == ["| a\\|b | c |", "| --- | --- |", "| 1 2 | \\| |", "|  | x y |"]
