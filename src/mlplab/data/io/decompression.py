"""Plain UTF-8 text of a CSV file, whatever it is packed with and in whatever encoding it was written."""

import codecs
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any, BinaryIO, NamedTuple

import zstandard

from mlplab.errors import Fault, UserError, nearest

BEGINNING = 2**16
"""Bytes from which a file's nature is told."""

BLOCK = 2**20

SIP = 2**12
"""Bytes of an archive that are unfolded at once: even the densest become no more than 128 MiB."""

UNFOLDED = 2**28
"""Bytes that an archive may unfold to, however small it is."""

UNFOLDED_TIMES = 100
"""Its size, that it may unfold to."""

USUAL = ("utf-8", "utf-16", "cp1252", "latin-1", "iso-8859-15", "cp1250", "cp1251", "gb18030", "shift_jis")
"""Encodings that a mistyped one may have meant."""


class Archive(NamedTuple):
    """A kind of archive that is read as if it were text."""

    name: str
    ending: str
    magic: bytes
    decoder: Callable[[], Any]  # of one part: an archive may have several


ARCHIVES = (
    Archive("gzip", ".gz", b"\x1f\x8b", lambda: zlib.decompressobj(wbits=31)),
    Archive("Zstandard", ".zst", b"\x28\xb5\x2f\xfd", lambda: zstandard.ZstdDecompressor().decompressobj()),
)
OTHERS = {
    b"PK\x03\x04": ("a ZIP archive", "unpack it first; a spreadsheet: save it as CSV"),
    b"\xd0\xcf\x11\xe0": ("a file of an office program", "save it as CSV"),
    b"BZh": ("a bzip2 archive", "unpack it first"),
    b"PAR1": ("a Parquet file", "let its name end in .parquet"),
}
"""What is taken for text now and then: how it begins, what it is, and what to do with it."""


@contextmanager
def plain_text(path: Path, encoding: str | None, where: str) -> Iterator[Path]:
    """A file of plain UTF-8 text for a `with`: `path` itself, or a temporary copy where it is no such text.

    Args:
        encoding: as Python names it; None: by the file's first bytes.
        where: what messages call the file.

    Raises:
        UserError: if it is an archive that cannot be unfolded, or no text in this encoding. Whether a file of
            UTF-8 text is valid throughout is left to those who read it, and to `encoding_faults`.
    """
    if encoding is not None:
        encoding = _known(encoding, where)
    archive = _archive(path, where)
    with path.open("rb") as file:
        chunks = _unfolded(file, archive, path.stat().st_size, where) if archive else _read(file)
        head = b""
        while len(head) < BEGINNING and (chunk := next(chunks, b"")):
            head += chunk
        if encoding in (None, "utf-16"):
            encoding = _utf16(head) or ("utf-16-le" if encoding else "utf-8")
        if encoding.startswith("utf-16") and head and b"\0" not in head:  # which every line's end would have
            raise UserError(Fault(f"is not {encoding} text", where, remedy="leave data.encoding out"))
        if encoding == "utf-8" and b"\0" in head:
            raise UserError(nul_fault(where, 1 + head[: head.index(b"\0")].count(b"\n")))
        if encoding == "utf-8" and not archive:
            yield path
            return
        with TemporaryDirectory(prefix="mlplab-") as folder:
            copy = Path(folder) / "table.csv"
            try:
                with copy.open("wb") as plain:
                    for text in _as_utf8(_after(head, chunks), encoding, where):
                        plain.write(text)
            except OSError as error:
                what = f"cannot be unfolded into {gettempdir()}: {error.strerror}"
                raise UserError(Fault(what, where, remedy="make room, or set TMPDIR to a folder")) from error
            yield copy


def encoding_faults(path: Path, where: str) -> list[Fault]:
    """The first byte of a file that is not UTF-8, and its first NUL, with their lines."""
    invalid: list[Fault] = []
    nul: list[Fault] = []
    line = 1
    with path.open("rb") as file:
        while block := file.read(BLOCK) + file.readline():
            if not nul and b"\0" in block:
                nul = [nul_fault(where, line + block[: block.index(b"\0")].count(b"\n"))]
            if not invalid:
                try:
                    block.decode()
                except UnicodeDecodeError as error:
                    at = line + block[: error.start].count(b"\n")
                    invalid = [_undecodable(block[error.start], "UTF-8", where, at)]
            line += block.count(b"\n")
    return invalid + nul


def nul_fault(where: str, line: int) -> Fault:
    """Says that there is a NUL byte on a line."""
    remedy = "save the table as text (CSV); in UTF-16 without its mark: data.encoding=utf-16"
    return Fault("has a NUL byte, which is no text", f"{where}, line {line}", remedy=remedy)


def _undecodable(byte: int, encoding: str, where: str, line: int) -> Fault:
    other = (
        "data.encoding=cp1252 if it is Western European" if encoding == "UTF-8" else "leave data.encoding out"
    )
    remedy = f"{other}, or save the file as UTF-8"
    return Fault(f"byte {byte:#04x} is not {encoding} text", f"{where}, line {line}", remedy=remedy)


def _known(encoding: str, where: str) -> str:
    """The encoding by the name that Python gives it."""
    try:
        "".encode(encoding)  # refuses also what is no encoding of text, such as base64
        return codecs.lookup(encoding).name.replace("utf-8-sig", "utf-8")
    except (LookupError, ValueError):
        near = nearest(encoding.lower(), USUAL)
        remedy = f"did you mean data.encoding={near[0]}?" if near else "data.encoding=cp1252, for example"
        what = f"there is no text encoding '{encoding}'"
        raise UserError(Fault(what, where, expected="one that Python knows", remedy=remedy)) from None


def _archive(path: Path, where: str) -> Archive | None:
    """Which archive a file is, by content and by name, which must agree."""
    with path.open("rb") as file:
        beginning = file.read(4)
    for magic, (what, remedy) in OTHERS.items():
        if beginning.startswith(magic):
            raise UserError(Fault(f"is {what}, not text", where, remedy=remedy))
    content = next((kind for kind in ARCHIVES if beginning.startswith(kind.magic)), None)
    named = next((kind for kind in ARCHIVES if path.suffix.lower() == kind.ending), None)
    if content == named:
        return content
    plain = path.stem if named else path.name
    if content is None:
        what = f"is named {path.suffix} but is no archive"
        raise UserError(Fault(what, where, remedy=f"rename it to {plain}, or pack it anew"))
    what = f"is a {content.name} archive, but not named so"
    raise UserError(Fault(what, where, remedy=f"rename it to {plain}{content.ending}"))


def _read(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(BLOCK):
        yield block


def _unfolded(file: BinaryIO, archive: Archive, size: int, where: str) -> Iterator[bytes]:
    limit, done = max(UNFOLDED, UNFOLDED_TIMES * size), 0
    decoder = archive.decoder()
    try:
        while data := file.read(SIP):
            while data:
                if decoder.eof:
                    decoder = archive.decoder()
                unfolded, data = decoder.decompress(data), decoder.unused_data
                done += len(unfolded)
                if done > limit:
                    what = f"unfolds from {size:,} bytes to more than {limit // 2**20:,} MiB"
                    raise UserError(
                        Fault(what, where, remedy="unpack it yourself if it is what it should be")
                    )
                if unfolded:
                    yield unfolded
    except (zlib.error, zstandard.ZstdError) as error:
        raise UserError(_damaged(archive, f"is damaged ({error})", where)) from error
    if not decoder.eof:
        raise UserError(_damaged(archive, "ends too early", where))


def _damaged(archive: Archive, how: str, where: str) -> Fault:
    return Fault(f"the {archive.name} archive {how}", where, remedy="copy it anew from where it came from")


def _utf16(head: bytes) -> str | None:
    """Which UTF-16 it is, by its mark, or by the zeros that fill every second byte of plain letters."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16-le" if head.startswith(codecs.BOM_UTF16_LE) else "utf-16-be"
    head = head[:1024]
    even, odd = (head[place::2].count(0) for place in (0, 1))
    if max(even, odd) > len(head) // 4 and min(even, odd) < len(head) // 16:
        return "utf-16-le" if odd > even else "utf-16-be"
    return None


def _after(head: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from chunks


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
    except UnicodeError as error:  # no mark where one must be, or half of a pair that a decoder let through
        raise UserError(Fault(f"is not {encoding} text", f"{where}, line {line}")) from error
