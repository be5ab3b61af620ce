"""What passes between server and engine: whole frames, however they are cut, and nothing else."""

import os
import struct
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_server.engines.embedded.frames import MAX_FRAME_BYTES, Frames, NoFrame, encode
from gpu_server.engines.embedded.outbox import Outbox

MESSAGES = st.lists(
    st.tuples(st.text(min_size=1), st.text(), st.none() | st.integers()).map(list), max_size=4
)


@given(st.lists(MESSAGES, max_size=4), st.data())
def test_messages_arrive_whole_and_in_order_however_they_are_cut(sent, data) -> None:
    wire = b"".join(map(encode, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=6)))
    frames = Frames()
    got = [
        message
        for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)
        for message in frames.feed(wire[a:b])
    ]
    assert got == [message for messages in sent for message in messages]


@pytest.mark.parametrize(
    "body", [b"no JSON", b"\xff\xfe", b"{}", b"[1]", b"[[]]", b"[[1]]", b'"text"', b"[" * 100_000]
)
def test_a_body_that_holds_no_messages_is_refused(body: bytes) -> None:
    with pytest.raises(NoFrame, match=f"{len(body)} bytes"):
        list(Frames().feed(struct.pack(">I", len(body)) + body))


def test_a_length_beyond_the_limit_is_refused_before_anything_is_kept() -> None:
    with pytest.raises(NoFrame, match=str(MAX_FRAME_BYTES)):
        list(Frames().feed(struct.pack(">I", MAX_FRAME_BYTES + 1)))
    with pytest.raises(NoFrame):
        list(Frames().feed(b"Hello, world"))


def test_what_many_threads_leave_goes_out_once_each_thread_in_order() -> None:
    read, write = os.pipe()
    got: list[list] = []

    def receive() -> None:
        frames = Frames()
        with os.fdopen(read, "rb", buffering=0) as pipe:
            while data := pipe.read(4096):
                got.extend(frames.feed(data))

    receiver = threading.Thread(target=receive)
    receiver.start()
    with os.fdopen(write, "wb", buffering=0) as pipe:
        outbox = Outbox(pipe, lambda: None)

        def send(sender: int) -> None:
            for number in range(300):
                outbox.post(["message", sender, number])
                outbox.flush()

        senders = [threading.Thread(target=send, args=(sender,)) for sender in range(4)]
        for thread in senders:
            thread.start()
        for thread in senders:
            thread.join()
    receiver.join()
    for sender in range(4):
        assert [number for _, who, number in got if who == sender] == list(range(300))
    assert len(got) == 1200


def test_counts_go_before_what_they_count() -> None:
    read, write = os.pipe()
    counts = iter([["counts", 1], None])
    with os.fdopen(write, "wb", buffering=0) as pipe:
        outbox = Outbox(pipe, lambda: next(counts))
        outbox.post(["done"])
        outbox.flush()
        outbox.post(["done again"])
        outbox.flush()
    with os.fdopen(read, "rb") as pipe:
        assert list(Frames().feed(pipe.read())) == [["counts", 1], ["done"], ["done again"]]
