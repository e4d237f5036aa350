"""Pages of reports, as tests read them."""

import re
from html import unescape
from pathlib import Path

from mlplab.commands.report.report import report


def page_of(folder: Path) -> str:
    """The HTML of a report."""
    return report(folder).read_text(encoding="utf-8")


def text_of(html: str) -> str:
    """The text of a page without its scripts."""
    without = re.sub(r"<(script|style)\b.*?</\1>", "", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", without)))


def cells_of(html: str, caption: str) -> list[list[str]]:
    """The cells of the only table with a text in its caption, and of its head."""
    [found] = [table for table in re.findall(r"<table.*?</table>", html, re.DOTALL) if caption in table]
    rows = re.findall(r"<tr.*?</tr>", found, re.DOTALL)
    cells = (re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row, re.DOTALL) for row in rows)
    return [[re.sub(r"<[^>]+>", "", cell) for cell in row] for row in cells]
