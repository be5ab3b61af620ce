import asyncio
import errno
import os
import socket
import sys

import pytest

from conduit.lmlite.front import doorway as module

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="epoll")


class Echo(asyncio.Protocol):
    """Sends back what comes, and says when it is to pause and when all is over."""

    def __init__(self, seen):
        self.seen = seen

    def connection_made(self, transport):
        self.transport = transport
        self.seen.append(self)
        self.said = []
        self.lost = asyncio.get_running_loop().create_future()

    def data_received(self, data):
        self.transport.write(data)

    def pause_writing(self):
        self.said.append("pause")
        self.transport.pause_reading()

    def resume_writing(self):
        self.said.append("resume")
        self.transport.resume_reading()

    def connection_lost(self, error):
        self.lost.set_result(error)


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - a transport has no events
            await asyncio.sleep(0.01)


def scene(play, listener=socket.socket):
    async def body():
        seen, taking = [], listener()
        taking.setblocking(False)
        taking.bind(("127.0.0.1", 0))
        taking.listen()
        port = taking.getsockname()[1]
        doorway = module.Doorway(taking, lambda: Echo(seen))
        try:
            await asyncio.wait_for(play(port, seen, doorway), 20)
        finally:
            if taking.fileno() >= 0:
                doorway.close()
            for each in seen:
                each.transport.abort()
                await each.lost

    asyncio.run(body())


def test_what_a_reader_does_not_take_pauses_the_writer_and_all_of_it_arrives():
    async def play(port, seen, doorway):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        sent = os.urandom(8_000_000)
        writer.write(sent)
        await until(lambda: seen and "pause" in seen[0].said)
        assert await reader.readexactly(len(sent)) == sent
        assert seen[0].said == ["pause", "resume"] * (len(seen[0].said) // 2)
        writer.close()
        assert await seen[0].lost is None

    scene(play)


def test_what_was_written_before_the_end_arrives_before_it():
    async def play(port, seen, doorway):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await until(lambda: seen)
        seen[0].transport.write(b"x" * 3_000_000)
        seen[0].transport.close()
        assert seen[0].transport.is_closing()
        assert len(await reader.read(-1)) == 3_000_000
        writer.close()

    scene(play)


def test_a_reset_while_nothing_is_read_ends_the_connection():
    async def play(port, seen, doorway):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        await until(lambda: seen)
        seen[0].transport.pause_reading()
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()
        await seen[0].lost

    scene(play)


def test_without_files_left_connections_wait_and_are_taken_later(monkeypatch):
    monkeypatch.setattr(module, "_NO_ROOM_PAUSE_S", 0.05)
    tries = []

    class Full(socket.socket):
        def accept(self):
            tries.append(1)
            if len(tries) < 3:
                raise OSError(errno.EMFILE, "Too many open files")
            return super().accept()

    async def play(port, seen, doorway):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.close()

    scene(play, Full)


def test_closed_it_takes_no_more_and_lets_those_that_are_there_go_on():
    async def play(port, seen, doorway):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"a")
        assert await reader.readexactly(1) == b"a"
        doorway.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"b")
        assert await reader.readexactly(1) == b"b"
        writer.close()

    scene(play)
