"""Plain UTF-8 text of a CSV file that may be compressed or in a different encoding."""

import codecs
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any, BinaryIO, NamedTuple

import zstandard

from mlplab.errors import Fault, UserError, did_you_mean, nearest

BEGINNING = 2**16
"""Bytes from which encoding and dialect are detected."""

BLOCK = 2**20

COMPRESSED_BLOCK = 2**12
"""Bytes that are decompressed at once; they expand to at most 128 MiB."""

EXPANDED = 2**28
"""Bytes to which any compressed file may expand."""

EXPANDED_TIMES = 100
"""Factor by which a larger file may expand."""

COMMON = ("utf-8", "utf-16", "cp1252", "latin-1", "iso-8859-15", "cp1250", "cp1251", "gb18030", "shift_jis")
"""Encodings to suggest for a mistyped one."""


class Archive(NamedTuple):
    """A format of compressed text; `decoder` decodes one stream, of which a file may have several."""

    name: str
    ending: str
    magic: bytes
    decoder: Callable[[], Any]


ARCHIVES = (
    Archive("gzip", ".gz", b"\x1f\x8b", lambda: zlib.decompressobj(wbits=31)),
    Archive("Zstandard", ".zst", b"\x28\xb5\x2f\xfd", lambda: zstandard.ZstdDecompressor().decompressobj()),
)
NOT_TEXT = {
    b"PK\x03\x04": ("a ZIP archive", "unpack it first; if it is a spreadsheet, save it as CSV"),
    b"\xd0\xcf\x11\xe0": ("an office document", "save it as CSV"),
    b"BZh": ("a bzip2 archive", "unpack it first"),
    b"PAR1": ("a Parquet file", "rename it to end in .parquet"),
}
"""Files that are not text, by their first bytes: what they are, and the remedy."""


@contextmanager
def plain_text(path: Path, encoding: str | None, where: str) -> Iterator[Path]:
    """Opens a file of plain UTF-8 text: `path` itself, or a temporary copy if it is something else.

    Args:
        encoding: the encoding's name in Python; None: detect it.
        where: the file's name in messages.

    Raises:
        UserError: if the file cannot be decompressed or decoded. Plain UTF-8 is not checked here.
    """
    if encoding is not None:
        encoding = _python_name(encoding, where)
    with path.open("rb") as file:
        archive = _archive(path, file.peek()[:4], where)
        size = path.stat().st_size
        chunks = (
            _decompressed(file, archive, size, where) if archive else iter(partial(file.read, BLOCK), b"")
        )
        head = b""
        while len(head) < BEGINNING and (chunk := next(chunks, b"")):
            head += chunk
        if encoding in (None, "utf-16"):
            encoding = _utf16(head) or ("utf-16-le" if encoding else "utf-8")
        if encoding.startswith("utf-16") and head and b"\0" not in head:  # each line's end has one
            raise UserError(Fault(f"is not {encoding} text", where, remedy="remove data.encoding"))
        if encoding == "utf-8" and b"\0" in head:
            raise UserError(_nul_fault(where, 1 + head[: head.index(b"\0")].count(b"\n")))
        if encoding == "utf-8" and not archive:
            yield path
            return
        with TemporaryDirectory(prefix="mlplab-") as folder:
            copy = Path(folder) / "table.csv"
            try:
                with copy.open("wb") as plain:
                    plain.writelines(_as_utf8(chain([head], chunks), encoding, where))
            except OSError as error:
                what = f"cannot be decompressed into {gettempdir()}: {error.strerror}"
                remedy = "free disk space, or set TMPDIR to a different folder"
                raise UserError(Fault(what, where, remedy=remedy)) from error
            yield copy


def encoding_faults(path: Path, where: str) -> list[Fault]:
    """Finds the first byte of a file that is not UTF-8, and its first NUL."""
    invalid = nul = None
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not nul and b"\0" in line:
                nul = _nul_fault(where, number)
            try:
                line.decode()
            except UnicodeDecodeError as error:
                invalid = invalid or _undecodable(line[error.start], "UTF-8", where, number)
    return [fault for fault in (invalid, nul) if fault]


def _nul_fault(where: str, line: int) -> Fault:
    remedy = "save the table as text (CSV); for UTF-16 without a byte order mark: data.encoding=utf-16"
    return Fault("has a NUL byte, which is not text", f"{where}, line {line}", remedy=remedy)


def _undecodable(byte: int, encoding: str, where: str, line: int) -> Fault:
    other = (
        "data.encoding=cp1252 if it is Western European" if encoding == "UTF-8" else "remove data.encoding"
    )
    remedy = f"{other}, or save the file as UTF-8"
    return Fault(f"byte {byte:#04x} is not {encoding} text", f"{where}, line {line}", remedy=remedy)


def _python_name(encoding: str, where: str) -> str:
    try:
        "".encode(encoding)  # raises also for codecs that do not encode text, such as base64
        return codecs.lookup(encoding).name.replace("utf-8-sig", "utf-8")
    except (LookupError, ValueError):
        example = "data.encoding=cp1252, for example"
        remedy = did_you_mean(nearest(encoding.lower(), COMMON), "data.encoding=", otherwise=example)
        what = f"there is no text encoding '{encoding}'"
        raise UserError(Fault(what, where, expected="one that Python knows", remedy=remedy)) from None


def _archive(path: Path, beginning: bytes, where: str) -> Archive | None:
    """Returns the format of a compressed file, which content and name must match; None for text."""
    for magic, (what, remedy) in NOT_TEXT.items():
        if beginning.startswith(magic):
            raise UserError(Fault(f"is {what}, not text", where, remedy=remedy))
    content = next((each for each in ARCHIVES if beginning.startswith(each.magic)), None)
    named = next((each for each in ARCHIVES if path.suffix.lower() == each.ending), None)
    if content == named:
        return content
    plain = path.stem if named else path.name
    if content is None:
        what, remedy = (
            f"is named {path.suffix} but is not compressed",
            f"rename it to {plain}, or compress it",
        )
    else:
        what = f"is a {content.name} archive, but its name does not end in {content.ending}"
        remedy = f"rename it to {plain}{content.ending}"
    raise UserError(Fault(what, where, remedy=remedy))


def _decompressed(file: BinaryIO, archive: Archive, size: int, where: str) -> Iterator[bytes]:
    limit, done = max(EXPANDED, EXPANDED_TIMES * size), 0
    decoder = archive.decoder()
    try:
        while data := file.read(COMPRESSED_BLOCK):
            while data:
                if decoder.eof:
                    decoder = archive.decoder()
                text, data = decoder.decompress(data), decoder.unused_data
                done += len(text)
                if done > limit:
                    what = f"expands from {size:,} bytes to more than {limit // 2**20:,} MiB"
                    raise UserError(Fault(what, where, remedy="decompress it yourself if you trust it"))
                if text:
                    yield text
    except (zlib.error, zstandard.ZstdError) as error:
        raise UserError(_damaged(archive, f"is damaged ({error})", where)) from error
    if not decoder.eof:
        raise UserError(_damaged(archive, "is truncated", where))


def _damaged(archive: Archive, how: str, where: str) -> Fault:
    return Fault(f"the {archive.name} file {how}", where, remedy="copy it again from its origin")


def _utf16(head: bytes) -> str | None:
    """Detects UTF-16 by its byte order mark, or by zeros in every second byte of plain letters."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16-le" if head.startswith(codecs.BOM_UTF16_LE) else "utf-16-be"
    head = head[:1024]
    even, odd = (head[first::2].count(0) for first in (0, 1))
    if max(even, odd) > len(head) // 4 and min(even, odd) < len(head) // 16:
        return "utf-16-le" if odd > even else "utf-16-be"
    return None


def _as_utf8(chunks: Iterator[bytes], encoding: str, where: str) -> Iterator[bytes]:
    if encoding == "utf-8":
        yield from chunks
        return
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    try:
        for chunk in chunks:
            text = decoder.decode(chunk)
            line += text.count("\n")
            yield text.encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeDecodeError as error:
        line += error.object[: error.start].decode(encoding, "ignore").count("\n")
        raise UserError(_undecodable(error.object[error.start], encoding, where, line)) from error
    except UnicodeError as error:  # a missing byte order mark, or half of a surrogate pair
        raise UserError(Fault(f"is not {encoding} text", f"{where}, line {line}")) from error
