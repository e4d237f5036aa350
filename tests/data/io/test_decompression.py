import bz2
import gzip
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlplab.data.io.decompression import encoding_faults, plain_text
from mlplab.errors import UserError

TEXT = "größe;y\n1,5;2\n"
PACKERS: list[tuple[str, Callable[[bytes], bytes]]] = [
    (".gz", gzip.compress),
    (".zst", zstandard.ZstdCompressor(write_checksum=True).compress),
]
packers = pytest.mark.parametrize(("ending", "pack"), PACKERS)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever happens, no temporary file is left."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert not list(folder.iterdir())


def write(folder: Path, content: bytes, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def read(path: Path, encoding: str | None = None) -> str:
    with plain_text(path, encoding, "t") as plain:
        return plain.read_bytes().decode("utf-8-sig")


def refusal(path: Path, encoding: str | None = None) -> str:
    with pytest.raises(UserError) as refused, plain_text(path, encoding, "t"):
        pass
    return str(refused.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("option", [None, "UTF8", "utf-8-sig"])
def test_plain_text_is_not_copied(tmp_path: Path, encoding: str, option: str | None) -> None:
    path = write(tmp_path, TEXT.encode(encoding))
    with plain_text(path, option, "t") as plain:
        assert plain == path


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_unicode_is_detected(tmp_path: Path, encoding: str, mark: str) -> None:
    assert read(write(tmp_path, (mark + TEXT).encode(encoding))).lstrip("\ufeff") == TEXT


@pytest.mark.parametrize("encoding", ["cp1252", "Latin1", "utf-16", "utf_16_be"])
def test_other_encodings_are_given(tmp_path: Path, encoding: str) -> None:
    assert read(write(tmp_path, (TEXT * 50_000).encode(encoding)), encoding) == TEXT * 50_000


def test_utf_16_that_is_not_detected_can_be_given(tmp_path: Path) -> None:
    assert read(write(tmp_path, "表，目，\n".encode("utf-16-le")), "UTF-16") == "表，目，\n"


def test_text_that_cannot_be_utf_16_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not utf-16-le text"):
        read(write(tmp_path, TEXT.encode()), "UTF-16")


@packers
def test_archives_are_decompressed(tmp_path: Path, ending: str, pack: Callable[[bytes], bytes]) -> None:
    assert read(write(tmp_path, pack(TEXT.encode()), "t.csv" + ending)) == TEXT
    assert read(write(tmp_path, pack(TEXT.encode("utf-16")), "t.csv" + ending)) == TEXT
    two = pack(TEXT.encode("cp1252")) + pack(b"3;4\n")
    assert read(write(tmp_path, two, "T.CSV" + ending.upper()), "cp1252") == TEXT + "3;4\n"


@packers
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), st.integers(1, 20_000))
def test_archives_hold_what_was_packed(
    tmp_path: Path, ending: str, pack: Callable[[bytes], bytes], text: str, times: int
) -> None:
    content = (text * times).encode()
    with plain_text(write(tmp_path, pack(content), "t" + ending), "utf-8", "t") as plain:
        assert plain.read_bytes() == content


@packers
def test_the_name_of_an_archive_must_agree(
    tmp_path: Path, ending: str, pack: Callable[[bytes], bytes]
) -> None:
    message = refusal(write(tmp_path, pack(TEXT.encode())))
    assert "t: is a " in message
    assert f"archive, but its name does not end in {ending}\n  rename it to t.csv{ending}" in message
    other = ".zst" if ending == ".gz" else ".gz"
    assert f"rename it to t.csv{ending}" in refusal(write(tmp_path, pack(TEXT.encode()), "t.csv" + other))
    message = refusal(write(tmp_path, TEXT.encode(), "t.csv" + ending))
    assert (
        message == f"error: t: is named {ending} but is not compressed\n  rename it to t.csv, or compress it"
    )


@pytest.mark.parametrize(("content", "name"), [(b"PK\x03\x04...", "ZIP"), (bz2.compress(b"a"), "bzip2")])
def test_other_archives_are_to_be_unpacked(tmp_path: Path, content: bytes, name: str) -> None:
    message = refusal(write(tmp_path, content))
    assert message.startswith(f"error: t: is a {name} archive, not text\n  unpack it first")


@packers
def test_an_archive_that_is_not_whole_is_refused(
    tmp_path: Path, ending: str, pack: Callable[[bytes], bytes]
) -> None:
    whole = pack("".join(f"{number}\n" for number in range(50_000)).encode())
    assert "file is truncated" in refusal(write(tmp_path, whole[:-3], "t" + ending))
    assert "file is truncated" in refusal(write(tmp_path, whole[: len(whole) // 2], "t" + ending))
    assert "file is damaged (" in refusal(write(tmp_path, whole + b"more", "t" + ending))
    middle = len(whole) // 2
    damaged = whole[:middle] + bytes(8) + whole[middle + 8 :]
    assert "file is damaged (" in refusal(write(tmp_path, damaged, "t" + ending))


@packers
def test_a_bomb_is_refused_soon(tmp_path: Path, ending: str, pack: Callable[[bytes], bytes]) -> None:
    block = b"1,2\n" * 2**20
    if ending == ".gz":
        packer = zlib.compressobj(1, wbits=31)
        bomb = b"".join(packer.compress(block) for _ in range(80)) + packer.flush()
    else:
        bomb = pack(block) * 80
    started = time.process_time()
    message = refusal(write(tmp_path, bomb, "t" + ending))
    assert f"t: expands from {len(bomb):,} bytes to more than 256 MiB" in message
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("encoding", "remedy"),
    [("utf8x", "did you mean data.encoding=utf-8?"), ("base64", "data.encoding=cp1252"), ("\0", "data.")],
)
def test_an_unknown_encoding_is_refused(tmp_path: Path, encoding: str, remedy: str) -> None:
    message = refusal(write(tmp_path, TEXT.encode()), encoding)
    assert f"t: there is no text encoding '{encoding}'" in message
    assert remedy in message


def test_bytes_that_are_not_the_given_encoding_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, b"a,y\n" * 400_000 + b"\x81,1\n")
    assert "t, line 400001: byte 0x81 is not cp1252 text" in refusal(path, "cp1252")
    assert "t, line 2: byte 0x00 is not utf-16-le text" in refusal(
        write(tmp_path, b"\xff\xfea\0\n\0\0\xdcb\0")
    )
    assert "byte 0x00 is not utf-16-le text" in refusal(write(tmp_path, b"\xff\xfea\0\n\0\0"))
    assert "t, line 1: is not utf-32 text" in refusal(write(tmp_path, b"a\0\0\0,\0\0\0"), "utf-32")
    assert "t, line 1: is not utf-7 text" in refusal(write(tmp_path, b"+2AA-"), "utf-7")


def test_a_nul_at_the_beginning_is_reported_at_once(tmp_path: Path) -> None:
    assert "t, line 3: has a NUL byte, which is not text" in refusal(
        write(tmp_path, b"a,y\n1,2\n\0,3\n" * 20)
    )


def test_a_full_disk_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, gzip.compress(TEXT.encode()), "t.gz")
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, old[1]))
    try:
        message = refusal(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)
    assert "cannot be decompressed into " in message
    assert "File too large" in message


def test_an_error_of_the_caller_is_passed_on(tmp_path: Path) -> None:
    path = write(tmp_path, gzip.compress(TEXT.encode()), "t.gz")
    with pytest.raises(OSError, match="mine"), plain_text(path, None, "t"):
        raise OSError("mine")


def test_the_first_invalid_byte_and_the_first_nul_are_found(tmp_path: Path) -> None:
    good = "größe,y\n".encode()
    assert encoding_faults(write(tmp_path, good * 200_000), "t") == []
    bad = good * 200_000 + b"1\0,2\nx\xe4y,1\n\0\xff\n"
    invalid, nul = encoding_faults(write(tmp_path, bad), "t")
    assert invalid.sentence() == "t, line 200002: byte 0xe4 is not UTF-8 text"
    assert "data.encoding=cp1252" in invalid.remedy
    assert nul.sentence() == "t, line 200001: has a NUL byte, which is not text"
