import gzip
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard
from commands.mistakes import message_of
from support import file_of

from mlplab.data.io import decompression
from mlplab.data.io.decompression import plain_text

TEXT = "größe;y\n1,5;2\n"
Pack = Callable[[bytes], bytes]
PACKERS = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor(write_checksum=True).compress}
packers = pytest.mark.parametrize(("suffix", "pack"), PACKERS.items(), ids=PACKERS)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever happens, no temporary file is left."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert not list(folder.iterdir())


def read(path: Path, encoding: str | None = None) -> str:
    with plain_text(path, encoding, "t") as plain:
        return plain.read_bytes().decode("utf-8-sig")


def refusal(path: Path, encoding: str | None = None) -> str:
    return message_of(lambda: read(path, encoding))


def test_plain_text_is_not_copied(tmp_path: Path) -> None:
    for encoding, option in (("utf-8", None), ("utf-8-sig", "UTF8")):
        path = file_of(tmp_path, TEXT.encode(encoding))
        with plain_text(path, option, "t") as plain:
            assert plain == path


@pytest.mark.parametrize("end", ["\n", "\r"])
@pytest.mark.parametrize(
    ("encoding", "option"),
    [("utf-8", None), ("utf-16", None), ("utf-16-be", "utf_16_be"), ("cp1252", "Latin1")],
)
def test_encodings_and_line_ends(tmp_path: Path, encoding: str, option: str | None, end: str) -> None:
    content = (TEXT * 200_000).replace("\n", end).encode(encoding)
    assert read(file_of(tmp_path, content), option) == TEXT * 200_000


@packers
def test_archives_are_decompressed(tmp_path: Path, suffix: str, pack: Pack) -> None:
    assert read(file_of(tmp_path, pack(TEXT.encode("utf-16")), "t.csv" + suffix)) == TEXT
    two = pack(TEXT.encode("cp1252")) + pack(b"3;4\n")
    assert read(file_of(tmp_path, two, "T.CSV" + suffix.upper()), "cp1252") == TEXT + "3;4\n"


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (gzip.compress(b"a", mtime=0), "t.csv", "t: is a gzip archive\n  rename it to end in .gz"),
        (gzip.compress(b"a", mtime=0), "t.csv.zst", "t: is a gzip archive\n  rename it to end in .gz"),
        (zstandard.compress(b"a"), "t.csv", "t: is a Zstandard archive\n  rename it to end in .zst"),
        (b"a,y\n", "t.csv.gz", "t: is not compressed, but named .gz\n  rename it, or compress it"),
        (b"PK\x03\x04...", "t.csv", "t: is a ZIP archive\n  unpack it first"),
        (
            b"ARROW1\0\0",
            "t.feather",
            "t: is an Arrow or Feather file\n  save it as CSV or Parquet, or read it",
        ),
        (b"SQLite format 3\0", "t.db", "t: is an SQLite database\n  save it as CSV or Parquet, or read it"),
        (b'{"a":1,"y":2}\n', "t.jsonl", "t: is JSON\n  save it as CSV or Parquet, or read it in Python"),
        (b"<!doctype html>", "t.csv", "t: is a web page\n  download the table itself"),
    ],
)
def test_name_and_content_must_agree(tmp_path: Path, content: bytes, name: str, message: str) -> None:
    assert message in refusal(file_of(tmp_path, content, name))


@packers
def test_an_archive_that_is_not_whole_is_refused(tmp_path: Path, suffix: str, pack: Pack) -> None:
    whole = pack("".join(f"{number}\n" for number in range(50_000)).encode())
    middle = len(whole) // 2
    for cut in (whole[:-3], whole[:middle]):
        assert "the archive is damaged (it is truncated)" in refusal(file_of(tmp_path, cut, "t" + suffix))
    for changed in (whole + b"more", whole[:middle] + bytes(8) + whole[middle + 8 :]):
        assert "the archive is damaged (" in refusal(file_of(tmp_path, changed, "t" + suffix))


@packers
def test_a_bomb_is_refused(tmp_path: Path, suffix: str, pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decompression, "MAX_EXPANDED_BYTES", 2**22)
    bomb = file_of(tmp_path, pack(b"1,2\n" * 2**18) * 5, "t" + suffix)
    assert f"t: expands from {bomb.stat().st_size:,} bytes to more than 4 MiB" in refusal(bomb)


@pytest.mark.parametrize(
    ("content", "encoding", "message"),
    [
        (b"a,y\n" * 400_000 + b"\x81,1\n", "cp1252", "t, line 400001: byte 0x81 is not CP1252 text"),
        (b"\xff\xfea\0\n\0\0\xdcb\0", None, "t, line 2: byte 0x00 is not UTF-16 text"),
        (b"a\0\0\0,\0\0\0", "utf-32", "t, line 1: is not UTF-32 text"),
        (TEXT.encode(), "utf-16", "t, line 1: is not UTF-16 text"),
        (b"a,y\n1,2\n\0,3\n" * 20, None, "t, line 3: has a NUL byte"),
        (TEXT.encode(), "utf8x", "t: there is no text encoding 'utf8x'"),
        (TEXT.encode(), "base64", "data.encoding=cp1252"),
        (TEXT.encode("utf-16-le"), None, "data.encoding=utf-16-le"),
    ],
)
def test_what_is_no_text_is_named(tmp_path: Path, content: bytes, encoding: str | None, message: str) -> None:
    assert message in refusal(file_of(tmp_path, content), encoding)
