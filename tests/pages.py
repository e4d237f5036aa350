import re
from html import unescape
from pathlib import Path

from playwright.sync_api import Page

from mlplab.commands.report.report import report


def page_of(folder: Path) -> str:
    return report(folder).read_text(encoding="utf-8")


def text_of(html: str) -> str:
    without = re.sub(r"<(script|style)\b.*?</\1>", "", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", without)))


def cells_of(html: str, caption: str) -> list[list[str]]:
    """The cells of the only table with a text in its caption, and of its head."""
    [found] = [table for table in re.findall(r"<table.*?</table>", html, re.DOTALL) if caption in table]
    rows = re.findall(r"<tr.*?</tr>", found, re.DOTALL)
    cells = (re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row, re.DOTALL) for row in rows)
    return [[re.sub(r"<[^>]+>", "", cell) for cell in row] for row in cells]


def assert_readable(page: Page, *selectors: str) -> None:
    """In both colour schemes, text has the contrast to the page that WCAG asks for."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(255, 255, 255)") == (scheme == "light")
        for selector in selectors:
            assert page.evaluate(CONTRAST, selector) >= 4.5, (scheme, selector)


CONTRAST = """selector => {
  const luminance = colour => {
    const parts = colour.match(/[\\d.]+/g).slice(0, 3).map(each => each / 255)
      .map(each => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const ink = luminance(getComputedStyle(document.querySelector(selector)).color);
  const page = luminance(getComputedStyle(document.body).backgroundColor);
  return (Math.max(ink, page) + 0.05) / (Math.min(ink, page) + 0.05);
}"""
