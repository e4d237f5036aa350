"""Counts lines of code and statements by room: python scripts/size.py.

Lines are those of Python that hold code: no blank lines, comments, docstrings or imports. Statements are all
of its syntax tree. Pages are JavaScript, HTML, CSS and Jinja, without blank lines. The limits are in
docs/architecture.md.
"""

import ast
import io
import subprocess
import tokenize
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOT_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}
PAGES = {".js", ".html", ".css", ".jinja"}


def _is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def python_size(text: str) -> tuple[int, int]:
    """Lines of code and statements of a Python file."""
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.stmt)]
    left_out = [
        node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom) or _is_docstring(node)
    ]
    empty = {line for node in left_out for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    lines = {n for t in tokens if t.type not in NOT_CODE for n in range(t.start[0], t.end[0] + 1)}
    return len(lines - empty), len(nodes)


def _room(path: Path) -> tuple[str, str]:
    """The tree of a file, and its room there: of a file in a room of its own, its name."""
    tree, *inner = path.parts
    inner = inner[1:] if tree == "src" else inner
    return tree, inner[0] if len(inner) > 1 else "its files"


def sizes(paths: list[Path]) -> dict[str, dict[str, list[int]]]:
    """By tree and room: lines of Python, its statements, lines of pages, all lines of Python."""
    found: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0, 0, 0]))
    for path in paths:
        tree, room = _room(path)
        text = (ROOT / path).read_text(encoding="utf-8")
        size = found[tree][room]
        if path.suffix == ".py":
            lines, statements = python_size(text)
            for column, value in enumerate((lines, statements, 0, len(text.splitlines()))):
                size[column] += value
        elif path.suffix in PAGES:
            size[2] += sum(bool(line.strip()) for line in text.splitlines())
    return found


def main() -> None:
    """Prints the sizes of src, scripts and tests."""
    listed = (
        "git",
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
        "src",
        "scripts",
        "tests",
    )
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    paths = [Path(name) for name in sorted(set(names)) if name and (ROOT / name).is_file()]
    row = "{:24}{:>8}{:>12}{:>8}{:>11}"
    print(row.format("", "lines", "statements", "pages", "all lines"))
    for tree, rooms in sizes([p for p in paths if p.suffix in PAGES | {".py"}]).items():
        total = [sum(column) for column in zip(*rooms.values(), strict=True)]
        print(row.format(tree, *(f"{value:,}" for value in total)))
        for room, size in sorted(rooms.items(), key=lambda each: -each[1][0]):
            if any(size):
                print(row.format(f"  {room}", *(f"{value:,}" for value in size)))


if __name__ == "__main__":
    main()
