"""Imports run downwards: see docs/architecture.md."""

import ast
from pathlib import Path

from support import ROOT, process

SRC = ROOT / "src"
LEVELS = """
errors
files imports console signals random_streams effective_rows typed_commands cpu_settings config
data
conformal figures pages
models
training
runs
onnx
commands
sweeps
composition
cli
api
sklearn
__main__
"""
"""Rooms of `mlplab`, lowest first. Each may import itself and lower ones."""

APART = {("models", "data"), ("api", "cli"), ("sklearn", "cli")}
"""Rooms that do not know a lower one."""


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "mlplab":
            names |= {f"mlplab.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("mlplab.")}


def test_imports_run_downwards() -> None:
    level = {room: number for number, rooms in enumerate(LEVELS.splitlines()) for room in rooms.split()}
    for path in sorted((SRC / "mlplab").rglob("*.py")):
        own = path.relative_to(SRC / "mlplab").with_suffix("").parts[0]
        for other in imported(path) if own != "__init__" else ():
            assert level[other] <= level[own], f"{path} imports {other}"
            assert (own, other) not in APART, path


def test_what_is_not_needed_is_not_imported(tmp_path: Path) -> None:
    """Of one process, which imports more and more."""
    absent = {
        "mlplab.cli.main": "torch lightning polars hydra pydantic",
        "mlplab.cli.table_commands": "torch lightning polars",
        "mlplab.commands.results, mlplab.sweeps.search.search_loop": "torch lightning altair",
        "mlplab.commands.report.report": "torch lightning",
        "mlplab.api.training, mlplab.api.finished_sweep": "torch lightning",
    }
    code = "import sys"
    for modules, names in absent.items():
        code += f"\nimport {modules}\nprint(*[each for each in {names.split()} if each in sys.modules])"
    printed = process(["-c", code], tmp_path).out.splitlines()
    assert dict(zip(absent, printed, strict=True)) == dict.fromkeys(absent, "")
