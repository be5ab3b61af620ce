import asyncio

import anyio
import httpx
import pytest

from conduit.lmlite.replicas import lanes
from conduit.lmlite.replicas.lanes import Lanes


class Server:
    """Answers each request once `hold` is open; counts connections, and closes them when told."""

    def __init__(self):
        self.opened = 0
        self.hold = asyncio.Event()
        self.hold.set()
        self.writers = []

    async def serve(self, reader, writer):
        self.opened += 1
        self.writers.append(writer)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                await self.hold.wait()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def hang_up(self):
        for writer in self.writers:
            writer.close()
            await writer.wait_closed()


def scene(play):
    async def body():
        server = Server()
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
        async with httpx.AsyncClient(transport=Lanes()) as client:
            await play(server, client, url)
        await server.hang_up()
        listening.close()
        await listening.wait_closed()

    asyncio.run(body())


async def together(client, url, count):
    async with anyio.create_task_group() as group:
        for _ in range(count):
            group.start_soon(client.get, url)


def test_requests_one_after_the_other_share_one_connection():
    async def play(server, client, url):
        for _ in range(5):
            assert (await client.get(url)).text == "ok"
        assert server.opened == 1

    scene(play)


def test_requests_at_a_time_have_a_connection_each_and_later_ones_reuse_them():
    async def play(server, client, url):
        server.hold.clear()
        async with anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(client.get, url)
            with anyio.fail_after(10):
                while server.opened < 100:  # noqa: ASYNC110 - the server is a stand-in without events
                    await anyio.sleep(0.01)
            server.hold.set()
        await together(client, url, 100)
        assert server.opened == 100

    scene(play)


def test_a_cancelled_request_leaves_its_lane_usable():
    async def play(server, client, url):
        server.hold.clear()
        with anyio.move_on_after(0.05):
            await client.get(url)
        server.hold.set()
        assert (await client.get(url)).text == "ok"
        assert server.opened == 2

    scene(play)


def test_a_stream_given_up_half_way_leaves_its_lane_usable():
    async def play(server, client, url):
        async with client.stream("GET", url):
            pass
        assert (await client.get(url)).text == "ok"

    scene(play)


def test_connections_idle_for_long_are_closed(monkeypatch):
    monkeypatch.setattr(lanes, "KEEPALIVE_S", 0.05)

    async def play(server, client, url):
        await together(client, url, 4)
        await anyio.sleep(0.1)
        for _ in range(8):
            await client.get(url)
        with anyio.fail_after(5):
            while sum(not writer.is_closing() for writer in server.writers) > 1:  # noqa: ASYNC110
                await anyio.sleep(0.01)

    scene(play)


def test_a_refused_connection_is_a_connect_error():
    async def play(server, client, url):
        with pytest.raises(httpx.ConnectError):
            await client.get("http://127.0.0.1:1/")

    scene(play)
