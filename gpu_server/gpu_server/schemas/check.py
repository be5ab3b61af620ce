"""Finds out whether a grammar can enforce a schema, without the batch or the engine taking any part in it.

The compiler is a process of its own (`compiler`), started at the first schema. It works under a deadline and a
memory limit; a schema that brings it down is refused, and the next one gets a new process. What is known about a
schema is kept by its hash, so a schema that comes again costs one hash.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import json
import logging
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from gpu_server.schemas.bounds import SchemaRefused, check_bounds, grammar_text

logger = logging.getLogger(__name__)

DEADLINE_S = 5.0
QUEUE_S = 15.0
START_S = 20.0
MEMORY_BYTES = 2 * 1024**3
"""Of address space; the process itself uses about 30 MB."""
KNOWN = 4096
COMPILER = (sys.executable, "-m", "gpu_server.schemas.compiler")


class CheckBusy(Exception):
    """Other schemas have held the compiler for too long."""


class SchemaCheck:
    """Checks schemas. Lives on one event loop.

    Args:
        deadline_s: How long one schema may take to compile.
        memory_bytes: Address space of the compiler.
        command: The compiler; its own alarm and its memory are added.
    """

    def __init__(
        self,
        *,
        deadline_s: float = DEADLINE_S,
        memory_bytes: int = MEMORY_BYTES,
        command: Sequence[str] = COMPILER,
    ) -> None:
        self._deadline_s = deadline_s
        # The compiler's own alarm is for the day when nobody is left to end it.
        self._command = (*command, str(2 * deadline_s + 1), str(memory_bytes))
        self._known: OrderedDict[bytes, str | None] = OrderedDict()
        self._process: Process | None = None
        self._turn = asyncio.Lock()
        self.compiles = importlib.util.find_spec("llguidance") is not None
        """Whether there is a compiler here; without one only the bounds are checked."""
        if not self.compiles:
            logger.warning(
                "llguidance is not installed: schemas are bounded here, and compiled by the engine only"
            )

    async def check(self, schema: Mapping[str, Any], *, compiled: bool = True) -> None:
        """Return when the schema can be enforced.

        Args:
            schema: The caller's.
            compiled: Whether llguidance will enforce it; else only the bounds are checked.

        Raises:
            SchemaRefused: It is too large, or cannot be compiled in time.
            CheckBusy: The compiler is held by others.
        """
        key = hashlib.sha256(json.dumps(schema).encode()).digest()[:-1] + bytes([compiled])
        if key not in self._known:
            check_bounds(schema)
            if not (compiled and self.compiles):
                self._learn(key, None)
                return
            await self._ask(key, grammar_text(schema))
        self._known.move_to_end(key)
        if (refused := self._known[key]) is not None:
            raise SchemaRefused(refused)

    async def close(self) -> None:
        """End the compiler."""
        process, self._process = self._process, None
        if process is not None:
            await _end(process)

    async def _ask(self, key: bytes, text: str) -> None:
        try:
            async with asyncio.timeout(QUEUE_S):
                await self._turn.acquire()
        except TimeoutError:
            raise CheckBusy from None
        try:
            if key not in self._known:  # the one before us may have asked the same
                self._learn(key, await self._compile(text))
        finally:
            self._turn.release()

    async def _compile(self, text: str) -> str | None:
        """Return why the schema is refused, or None. A process that was cut off is never asked again."""
        process = self._process or await self._start()
        self._process = None
        try:
            async with asyncio.timeout(self._deadline_s):
                answer = await _answer(process, text)
        except TimeoutError:
            answer = b""
        except BaseException:
            await _end(process)
            raise
        if not answer.endswith(b"\n"):
            await _end(process)
            logger.warning("a schema of %d characters ended its compiler", len(text))
            return f"its grammar could not be compiled within {self._deadline_s:g} s and the memory for it"
        self._process = process
        refused: str | None = json.loads(answer)["refused"]
        return refused

    async def _start(self) -> Process:
        process = await asyncio.create_subprocess_exec(
            *self._command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL
        )
        try:
            async with asyncio.timeout(START_S):  # the first answer: starting does not count as compiling
                ready = await _answer(process, "{}")
        except BaseException:
            await _end(process)
            raise
        if not ready:
            await _end(process)
            raise RuntimeError(f"the schema compiler does not start: {' '.join(self._command)}")
        return process

    def _learn(self, key: bytes, refused: str | None) -> None:
        self._known[key] = refused
        while len(self._known) > KNOWN:
            self._known.popitem(last=False)


async def _answer(process: Process, text: str) -> bytes:
    """Return its line; without an end of line when the process ended."""
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(ConnectionError):
        process.stdin.write(text.encode() + b"\n")
        await process.stdin.drain()
    return await process.stdout.readline()


async def _end(process: Process) -> None:
    assert process.stdout is not None
    if not process.stdout.at_eof():  # killing one that has ended already would take its exit from asyncio
        with suppress(ProcessLookupError):
            process.kill()
    with suppress(ConnectionError):
        await process.communicate()
