"""Counts lines of code and statements by room: python scripts/size.py.

Lines are those of Python that hold code: no blank lines, comments, docstrings or imports. Statements are all
of its syntax tree. Pages are JavaScript, HTML, CSS and Jinja, without blank lines. Functions with seven
arguments or more, and uses of Any, are to be rare. The limits are in docs/architecture.md.
"""

import ast
import io
import subprocess
import tokenize
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TREES = ("src", "scripts", "tests")
SPACE = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
NOT_CODE = SPACE | {tokenize.COMMENT, tokenize.ENDMARKER}
PAGES = {".js", ".html", ".css", ".jinja"}
COLUMNS = ("lines", "statements", "pages", "all lines", "7 arguments", "Any")


def size_of(text: str) -> dict[str, int]:
    """What a Python file counts."""
    nodes, tokens = [*ast.walk(ast.parse(text))], [*tokenize.generate_tokens(io.StringIO(text).readline)]
    statements, empty = [node for node in nodes if isinstance(node, ast.stmt)], set[int]()
    for node in statements:
        is_text = isinstance(node, ast.Expr) and isinstance(getattr(node.value, "value", None), str)
        if is_text or isinstance(node, ast.Import | ast.ImportFrom):
            empty.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    signatures = [node.args for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    names = [{arg.arg for arg in (*of.posonlyargs, *of.args, *of.kwonlyargs)} for of in signatures]
    lines = {n for t in tokens if t.type not in NOT_CODE for n in range(t.start[0], t.end[0] + 1)}
    return {
        **{"lines": len(lines - empty), "statements": len(statements), "all lines": len(text.splitlines())},
        "7 arguments": sum(len(of - {"self", "cls"}) >= 7 for of in names),
        "Any": sum(token.string == "Any" and token.start[0] not in empty for token in tokens),
    }


def main() -> None:
    """Prints the sizes of each tree and its rooms; files outside of rooms count together."""
    listed = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *TREES)
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    sizes: dict[str, dict[str, Counter[str]]] = {tree: {} for tree in TREES}
    for path in {Path(name) for name in names if Path(name).suffix in PAGES | {".py"}}:
        tree, *inner = path.parts
        inner = inner[tree == "src" :]
        room = sizes[tree].setdefault(inner[0] if len(inner) > 1 else "its files", Counter())
        text = (ROOT / path).read_text(encoding="utf-8") if (ROOT / path).exists() else ""
        pages = {"pages": sum(bool(line.strip()) for line in text.splitlines())}
        room.update(pages if path.suffix in PAGES else size_of(text))
    row = "{:18}{:>8}{:>12}{:>8}{:>11}{:>13}{:>6}"
    print(row.format("", *COLUMNS))
    for tree, rooms in sizes.items():
        rows = {tree: sum(rooms.values(), Counter[str]())}
        rows |= {f"  {room}": size for room, size in sorted(rooms.items(), key=lambda of: -of[1]["lines"])}
        for name, size in rows.items():
            if size.total():
                print(row.format(name, *(f"{size[column]:,}" for column in COLUMNS)))


if __name__ == "__main__":
    main()
