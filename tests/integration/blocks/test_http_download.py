import hashlib
import random
import re
import socket
import subprocess
import sys
import threading

import pytest

from conduit.blocks import http_download
from conduit.errors import FileError, HttpError, HttpStatusError, HttpTimeout, HttpTooLarge

BODY = random.Random(7).randbytes(3_000_000)
SHA256 = hashlib.sha256(BODY).hexdigest()


class Source:
    """A file that its server gives in parts; each entry of ``cuts`` ends one answer after so many bytes."""

    def __init__(self, body=BODY, tag='"v1"', cuts=()):
        self.body, self.tag, self.cuts = body, tag, list(cuts)
        self.ranges = []

    def __call__(self, handler):
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("range") or "")
        start = int(asked[1]) if asked and handler.headers.get("if-range") == self.tag else 0
        self.ranges.append(start)
        rest = self.body[start:]
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("content-range", f"bytes {start}-{len(self.body) - 1}/{len(self.body)}")
        if self.tag:
            handler.send_header("etag", self.tag)
        handler.send_header("content-length", str(len(rest)))
        handler.end_headers()
        cut = self.cuts.pop(0) if self.cuts else None
        handler.wfile.write(rest[:cut])
        if cut is not None:
            handler.wfile.flush()
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_comes_whole_and_checked(server, tmp_path):
    server.paths["/f"] = Source()
    found = http_download(server.url("/f"), tmp_path / "deep" / "f", sha256=SHA256.upper(), make_folders=True)
    assert (found.size_bytes, found.sha256, found.resumed_bytes) == (len(BODY), SHA256, 0)
    assert (tmp_path / "deep" / "f").read_bytes() == BODY
    assert names(tmp_path / "deep") == ["f"]


def test_what_is_cut_is_resumed_where_it_ended(server, tmp_path):
    source = server.paths["/f"] = Source(cuts=[1_000_000, 500_000])
    http_download(server.url("/f"), tmp_path / "f", sha256=SHA256)
    assert source.ranges == [0, 1_000_000, 1_500_000]
    assert (tmp_path / "f").read_bytes() == BODY


def test_a_later_call_resumes_and_the_old_file_stays_till_then(server, tmp_path):
    (tmp_path / "f").write_bytes(b"old")
    source = server.paths["/f"] = Source(cuts=[2_000_000])
    with pytest.raises(HttpError):
        http_download(server.url("/f"), tmp_path / "f", retries=0)
    assert (tmp_path / "f").read_bytes() == b"old"
    assert names(tmp_path) == [".f.part", ".f.part.json", "f"]
    assert server.url("/f") not in (tmp_path / ".f.part.json").read_text()
    found = http_download(server.url("/f"), tmp_path / "f")
    assert (found.resumed_bytes, source.ranges) == (2_000_000, [0, 2_000_000])
    assert (tmp_path / "f").read_bytes() == BODY
    assert names(tmp_path) == ["f"]


@pytest.mark.parametrize("change", ["another version", "another address", "no version"])
def test_parts_of_different_files_are_never_put_together(server, tmp_path, change):
    tag = None if change == "no version" else '"v1"'
    server.paths["/f"] = Source(b"o" * 3_000_000, tag, cuts=[2_000_000])
    with pytest.raises(HttpError):
        http_download(server.url("/f"), tmp_path / "f", retries=0)
    path = "/g" if change == "another address" else "/f"
    source = server.paths[path] = Source(tag='"v2"' if change == "another version" else tag)
    assert http_download(server.url(path), tmp_path / "f").sha256 == SHA256
    assert source.ranges == [0]


def test_a_server_that_sends_another_part_than_asked_for_is_asked_for_all(server, tmp_path):
    source = Source(cuts=[1_000_000])

    def liar(handler):
        if handler.headers.get("range") and len(source.ranges) == 1:
            source.ranges.append("lie")
            handler.answer(
                BODY[5:], status=206, content_range=f"bytes 5-{len(BODY) - 1}/{len(BODY)}", etag='"v1"'
            )
        elif len(source.ranges) == 2:
            source.ranges.append("too long")
            assert handler.headers.get("range") is None
            source(handler)
        else:
            source(handler)

    server.paths["/f"] = liar
    assert http_download(server.url("/f"), tmp_path / "f").sha256 == SHA256


def test_a_part_longer_than_the_file_is_given_up(server, tmp_path):
    server.paths["/f"] = Source(cuts=[2_000_000])
    with pytest.raises(HttpError):
        http_download(server.url("/f"), tmp_path / "f", retries=0)
    short = Source(b"short", '"v1"')
    statuses = []

    def now_short(handler):
        if handler.headers.get("range"):
            statuses.append(416)
            handler.answer(b"", status=416, content_range="bytes */5")
        else:
            short(handler)

    server.paths["/f"] = now_short
    http_download(server.url("/f"), tmp_path / "f")
    assert ((tmp_path / "f").read_bytes(), statuses) == (b"short", [416])


def test_a_wrong_checksum_leaves_nothing(server, tmp_path):
    server.paths["/f"] = Source()
    with pytest.raises(HttpError, match="SHA-256"):
        http_download(server.url("/f"), tmp_path / "f", sha256="0" * 64)
    assert names(tmp_path) == []


def test_limits_hold_announced_or_not(server, tmp_path):
    server.paths["/f"] = Source()

    def unannounced(handler):
        handler.send_response(200)
        handler.end_headers()
        handler.close_connection = True
        handler.wfile.write(BODY)

    server.paths["/u"] = unannounced
    for path in ("/f", "/u"):
        with pytest.raises(HttpTooLarge):
            http_download(server.url(path), tmp_path / "f", max_bytes=1_000_000)
    assert http_download(server.url("/u"), tmp_path / "u").sha256 == SHA256
    assert names(tmp_path) == ["u"]


def test_a_silent_server_and_error_answers_are_typed_errors(server, tmp_path):
    server.paths["/silent"] = lambda h: server.stopping.wait(20)
    with pytest.raises(HttpTimeout):
        http_download(server.url("/silent"), tmp_path / "f", silence_s=0.2, retries=1)
    server.stopping.set()
    server.paths["/no"] = lambda h: h.answer(b"gone", status=410)
    with pytest.raises(HttpStatusError):
        http_download(server.url("/no"), tmp_path / "f")
    answers = [503, 200]
    server.paths["/busy"] = lambda h: h.answer(b"ok", status=answers.pop(0), retry_after=0)
    assert http_download(server.url("/busy"), tmp_path / "busy").size_bytes == 2
    with pytest.raises(FileError, match="folder"):
        http_download(server.url("/busy"), tmp_path)
    assert names(tmp_path) == ["busy"]


def test_two_calls_for_one_file_do_not_mix(server, tmp_path):
    entered, go = threading.Event(), threading.Event()
    source = Source()

    def slow(handler):
        entered.set()
        go.wait(30)
        source(handler)

    server.paths["/f"] = slow
    first = http_download.submit(server.url("/f"), tmp_path / "f")
    assert entered.wait(30)
    with pytest.raises(FileError, match="another call"):
        http_download(server.url("/f"), tmp_path / "f")
    go.set()
    assert first.result(30).sha256 == SHA256


CODE = """
import resource, sys
from conduit.blocks import http_download
from conduit.errors import FileError
# The kernel refuses every byte beyond this, as a full disk does.
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    http_download(sys.argv[1], sys.argv[2])
except FileError as error:
    print(error.code)
"""


def test_a_full_disk_leaves_the_old_file(server, tmp_path):
    server.paths["/f"] = Source()
    (tmp_path / "f").write_bytes(b"old")
    command = [sys.executable, "-c", CODE, server.url("/f"), str(tmp_path / "f")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert (done.stdout, done.stderr) == ("file\n", "")
    assert (tmp_path / "f").read_bytes() == b"old"
    assert http_download(server.url("/f"), tmp_path / "f").sha256 == SHA256


def test_progress_is_told(server, tmp_path, monkeypatch):
    from conduit.dataflow import progress

    told = []

    class Watcher:
        def started(self, name, total):
            told.append((name, total))

        def advanced(self, done, failed):
            told.append(done)

        def ended(self):
            told.append("end")

    monkeypatch.setattr(progress, "observers", [Watcher])
    server.paths["/f"] = Source()
    http_download(server.url("/f"), tmp_path / "f")
    assert told[0] == ("f (MiB)", 3)
    assert sum(told[1:-1]) == 2
    assert told[-1] == "end"
