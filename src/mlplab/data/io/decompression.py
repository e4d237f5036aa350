"""Plain UTF-8 text of a CSV file that may be compressed or in a different encoding."""

import codecs
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, BinaryIO

import zstandard

from mlplab.errors import refusal

BLOCK_BYTES = 2**20

MAX_EXPANDED_BYTES = 2**28  # bytes to which any compressed file may expand; larger ones a hundredfold

DECODERS: Mapping[str, Callable[[], Any]] = {
    ".gz": partial(zlib.decompressobj, wbits=31),
    ".zst": lambda: zstandard.ZstdDecompressor().decompressobj(),
}
"""What decodes one stream of a compressed file, which may have several, by the suffix of its name."""

PASS_A_FRAME = "save it as CSV or Parquet, or read it in Python, and pass the frame: mlplab.train(frame, …)"

# Other files than tables of plain text, by their first bytes: what they are, the suffix they need, and the
# remedy.
FORMATS: Mapping[bytes, tuple[str, str | None, str]] = {
    b"\x1f\x8b": ("a gzip archive", ".gz", "rename it to end in .gz"),
    b"\x28\xb5\x2f\xfd": ("a Zstandard archive", ".zst", "rename it to end in .zst"),
    b"PK\x03\x04": ("a ZIP archive", None, f"unpack it first; if it is a spreadsheet, {PASS_A_FRAME}"),
    b"\xd0\xcf\x11\xe0": ("an office document", None, PASS_A_FRAME),
    b"ARROW1": ("an Arrow or Feather file", None, PASS_A_FRAME),
    b"FEA1": ("a Feather file", None, PASS_A_FRAME),
    b"\xff\xff\xff\xff": ("an Arrow stream", None, PASS_A_FRAME),
    b"SQLite format 3": ("an SQLite database", None, PASS_A_FRAME),
    b"Obj\x01": ("an Avro file", None, PASS_A_FRAME),
    b"\x89HDF": ("an HDF5 file", None, PASS_A_FRAME),
    b"\x80\x04": ("a pickle", None, PASS_A_FRAME),
    b"\x80\x05": ("a pickle", None, PASS_A_FRAME),
    b'{"': ("JSON", None, PASS_A_FRAME),
    b"[{": ("JSON", None, PASS_A_FRAME),
    b"<!": ("a web page", None, "download the table itself, or save it as CSV"),
    b"<html": ("a web page", None, "download the table itself, or save it as CSV"),
    b"BZh": ("a bzip2 archive", None, "unpack it first"),
    b"PAR1": ("a Parquet file", None, "rename it to end in .parquet"),
}


@contextmanager
def plain_text(path: Path, encoding: str | None, where: str) -> Iterator[Path]:
    """Opens a file of plain UTF-8 text: `path` itself, or a temporary copy if it is something else.

    The encoding is detected if none is given. If lines end with a carriage return only, the copy's end with a
    line feed. Messages refer to the file by `where`.

    Raises:
        UserError: if the file cannot be decompressed or decoded. Of plain UTF-8, only the beginning is
            checked here.
    """
    if encoding:
        try:
            "".encode(encoding)  # raises also for codecs that do not encode text, such as base64
            encoding = codecs.lookup(encoding).name.replace("utf-8-sig", "utf-8")
        except (LookupError, ValueError):
            what = f"there is no text encoding '{encoding}' in Python"
            raise refusal(what, where, "data.encoding=cp1252, for example") from None
    with path.open("rb") as file:
        suffix = path.suffix.lower() if path.suffix.lower() in DECODERS else ""
        text_named = (f"not compressed, but named {suffix}", "", "rename it, or compress it")
        formats = (format_ for magic, format_ in FORMATS.items() if file.peek().startswith(magic))
        what, needed, remedy = next(formats, text_named)
        if needed != suffix:
            raise refusal(f"is {what}", where, remedy)
        chunks = _decompressed(file, suffix, where) if suffix else iter(partial(file.read, BLOCK_BYTES), b"")
        head = next(chunks, b"")
        is_utf_16 = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        encoding = encoding or ("utf-16" if is_utf_16 else "utf-8")
        text = _as_utf8(chain([head], chunks), encoding, where)
        first = next(text)  # raises if it is not text
        has_old_line_ends = b"\r" in first and b"\n" not in first
        if encoding == "utf-8" and not suffix and not has_old_line_ends:
            yield path
            return
        line_end = b"\n" if has_old_line_ends else b"\r"
        with NamedTemporaryFile(prefix="mlplab-") as copy:
            copy.writelines(chunk.replace(b"\r", line_end) for chunk in chain([first], text))
            copy.flush()
            yield Path(copy.name)


def check_utf8(path: Path, where: str) -> None:
    """Checks that a file is UTF-8 without NUL.

    Raises:
        UserError: if it is not.
    """
    with path.open("rb") as file:
        for _ in _as_utf8(iter(partial(file.read, BLOCK_BYTES), b""), "utf-8", where):
            pass


def _decompressed(file: BinaryIO, suffix: str, where: str) -> Iterator[bytes]:
    size = os.fstat(file.fileno()).st_size
    limit, expanded = max(MAX_EXPANDED_BYTES, 100 * size), 0
    decoder = DECODERS[suffix]()
    try:
        while data := file.read(2**12):  # expands to at most 128 MiB
            while data:
                if decoder.eof:
                    decoder = DECODERS[suffix]()
                text, data = decoder.decompress(data), decoder.unused_data
                expanded += len(text)
                if expanded > limit:
                    what = f"expands from {size:,} bytes to more than {limit // 2**20:,} MiB"
                    raise refusal(what, where, "decompress it yourself if you trust it")
                if text:
                    yield text
        if not decoder.eof:
            raise EOFError("it is truncated")
    except (zlib.error, zstandard.ZstdError, EOFError) as error:
        raise refusal(f"the archive is damaged ({error})", where, "copy it again from its origin") from error


def _as_utf8(chunks: Iterable[bytes], encoding: str, where: str) -> Iterator[bytes]:
    """Converts text to UTF-8.

    Raises:
        UserError: at the first byte that is not in the encoding, or is NUL.
    """
    decoder, line = codecs.getincrementaldecoder(encoding)(), 1
    for chunk in chain(chunks, [b""]):
        try:
            text = decoder.decode(chunk, final=not chunk).encode()
        except UnicodeError as error:
            what, remedy = f"is not {encoding.upper()} text", "remove data.encoding"
            if isinstance(error, UnicodeDecodeError):
                line += error.object[: error.start].decode(encoding, "ignore").count("\n")
                what = f"byte {error.object[error.start]:#04x} {what}"
            if encoding == "utf-8":
                other = "utf-16-le" if b"\0" in chunk else "cp1252 if it is Western European"
                remedy = f"data.encoding={other}, or save the file as UTF-8"
            raise refusal(what, f"{where}, line {line}", remedy) from error
        before, nul, _ = text.partition(b"\0")
        line += before.count(b"\n")
        if nul:
            or_utf16 = "; if it is UTF-16: data.encoding=utf-16-le" if encoding == "utf-8" else ""
            raise refusal("has a NUL byte", f"{where}, line {line}", f"save the table as CSV{or_utf16}")
        yield text
