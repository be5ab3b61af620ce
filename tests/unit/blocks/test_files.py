import errno
import os
import stat

import pytest

from conduit.blocks import read_file, write_file
from conduit.errors import FileError


def test_what_was_written_is_read_back_byte_for_byte(tmp_path):
    text = "eins\r\nzwei\n\tdrei é 😀"
    written = write_file(tmp_path / "a.txt", text)
    assert written.path == str(tmp_path / "a.txt")
    assert written.size_bytes == len(text.encode())
    assert read_file(written.path).text == text


def test_bytes_are_kept_as_bytes(tmp_path):
    data = bytes(range(256))
    write_file(tmp_path / "a.bin", data)
    found = read_file(tmp_path / "a.bin", encoding=None)
    assert (found.content, found.text) == (data, "")


def test_text_in_another_encoding_is_refused_with_its_place(tmp_path):
    (tmp_path / "latin").write_bytes("caf\xe9".encode("latin-1"))
    with pytest.raises(FileError, match="byte 3 of 4") as caught:
        read_file(tmp_path / "latin")
    assert "encoding=None" in caught.value.hint
    assert read_file(tmp_path / "latin", encoding="latin-1").text == "café"


@pytest.mark.parametrize("path", ["", "a\0b", "missing.txt", "no/folder/x.txt", ".", "/dev/zero"])
def test_what_is_no_readable_file_is_a_typed_error(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileError):
        read_file(path)


def test_a_pipe_that_nobody_writes_to_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileError, match="no regular file"):
        read_file(tmp_path / "pipe")


def test_a_file_over_the_limit_is_refused_with_both_numbers(tmp_path):
    (tmp_path / "big").write_bytes(b"x" * 101)
    with pytest.raises(FileError, match=r"101 bytes; the limit is 100"):
        read_file(tmp_path / "big", max_bytes=100)
    assert len(read_file(tmp_path / "big", max_bytes=101).content) == 101


def test_replacing_keeps_permissions_and_the_link(tmp_path):
    real = tmp_path / "real.txt"
    real.write_text("old")
    real.chmod(0o640)
    (tmp_path / "link.txt").symlink_to(real)
    write_file(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert real.read_text() == "new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_a_new_file_gets_the_permissions_of_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        write_file(tmp_path / "a", "x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_only_regular_files_are_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(FileError, match="no regular file"):
            write_file(tmp_path / name, "x")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_folders_are_made_only_when_asked(tmp_path):
    with pytest.raises(FileError, match="No such file") as caught:
        write_file(tmp_path / "a" / "b" / "c.txt", "x")
    assert "make_folders=True" in caught.value.hint
    write_file(tmp_path / "a" / "b" / "c.txt", "x", make_folders=True)
    assert (tmp_path / "a" / "b" / "c.txt").read_text() == "x"


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_an_error_at_any_step_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, call):
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    if call == "replace":
        monkeypatch.setattr("pathlib.Path.replace", fail)
    else:
        monkeypatch.setattr(os, call, fail)
    with pytest.raises(FileError, match="No space left"):
        write_file(target, "new" * 1000)
    monkeypatch.undo()
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
