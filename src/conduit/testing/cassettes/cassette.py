"""``cassette``: within it model calls are recorded, or answered from what was recorded."""

from __future__ import annotations

import logging
import re
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Literal, Protocol

import anyio
import anyio.lowlevel

from conduit import settings
from conduit.errors import (
    ArgumentInvalid,
    ConduitError,
    ModelError,
    Overloaded,
    RequestRefused,
)
from conduit.lmlite.calls.substitute import Emit, Send, listen, override
from conduit.lmlite.request import LMReply, LMRequest
from conduit.testing.cassettes import tape_file
from conduit.testing.cassettes.miss import cut, miss
from conduit.testing.cassettes.recording import Asked, Recording, asked_by
from conduit.testing.cassettes.scrubbing import Scrubber

logger = logging.getLogger(__name__)

Mode = Literal["auto", "record", "replay"]


class Tape(Protocol):
    """What ``cassette`` gives.

    Attributes:
        path: The file.
        recording: Whether calls go to the model and are recorded; or else they are answered from the file.
        calls: Those so far.
        unused: Recordings that nothing has asked for so far.
    """

    @property
    def path(self) -> Path: ...
    @property
    def recording(self) -> bool: ...
    @property
    def calls(self) -> tuple[Recording, ...]: ...
    @property
    def unused(self) -> tuple[Recording, ...]: ...


@dataclass
class _Heard:
    """One call, while it runs and afterwards."""

    asked: Asked
    pieces: list[str] = field(default_factory=list)
    reply: LMReply | None = None
    error: ConduitError | None = None

    def recording(self) -> Recording:
        """What has come of it; without an answer or an error its caller has left it, or is about to."""
        pieces = tuple(self.pieces)
        return Recording(
            self.asked,
            self.reply or LMReply("".join(pieces)),
            pieces=tuple(map(len, pieces)),
            error=self.error,
            left=self.reply is None and self.error is None,
        )


class _Recorder:
    """Listens to the calls."""

    recording = True
    unused = ()

    def __init__(self, path: Path, scrub: Scrubber) -> None:
        self.path, self._scrub, self._lock = path, scrub, threading.Lock()
        self._heard: list[_Heard] = []

    @property
    def calls(self) -> tuple[Recording, ...]:
        # By the order in which they began, which tells equal ones apart.
        with self._lock:
            return tuple(heard.recording() for heard in self._heard)

    async def heard(self, request: LMRequest, emit: Emit | None, send: Send) -> LMReply:
        heard = _Heard(asked_by(request, self._scrub))
        with self._lock:
            self._heard.append(heard)

        async def passed_on(piece: str) -> None:
            heard.pieces.append(piece)
            assert emit is not None
            await emit(piece)

        try:
            heard.reply = await send(None if emit is None else passed_on)
        except ConduitError as error:
            heard.error = error
            raise
        return heard.reply

    def save(self) -> None:
        """Writes what was recorded."""
        tape_file.write(self.path, _settled(self.calls), self._scrub)


class _Player:
    """Answers in a model's place."""

    recording = False

    def __init__(self, path: Path, scrub: Scrubber) -> None:
        self.path, self._scrub, self._lock = path, scrub, threading.Lock()
        self._recordings = tape_file.read(path)
        self._places: defaultdict[str, list[int]] = defaultdict(list)
        for place, recording in enumerate(self._recordings):
            self._places[recording.asked.key].append(place)
        self._used: dict[str, int] = {}
        self._played: list[int] = []

    @property
    def calls(self) -> tuple[Recording, ...]:
        with self._lock:
            return tuple(self._recordings[place] for place in self._played)

    @property
    def unused(self) -> tuple[Recording, ...]:
        with self._lock:
            played = set(self._played)
        return tuple(r for place, r in enumerate(self._recordings) if place not in played)

    async def respond(self, request: LMRequest) -> LMReply:
        recording = self._next(asked_by(request, self._scrub))
        if recording.left:
            await anyio.sleep_forever()  # its caller did not wait for the answer, so neither will this one
        if recording.error is not None:
            raise recording.error
        return recording.reply

    async def stream(self, request: LMRequest, emit: Emit) -> LMReply:
        asked = asked_by(request, self._scrub)
        recording = self._next(asked)
        for piece in recording.texts():
            await emit(piece)
            await anyio.lowlevel.checkpoint()  # a reader that leaves ends it here
        if recording.left and recording.pieces:
            raise cut(self.path, asked)
        if recording.left:
            await anyio.sleep_forever()
        if recording.error is not None:
            raise recording.error
        return recording.reply

    def _next(self, asked: Asked) -> Recording:
        places = self._places.get(asked.key, [])
        with self._lock:
            number = self._used.get(asked.key, 0)
            if number < len(places):
                self._used[asked.key] = number + 1
                self._played.append(places[number])
                return self._recordings[places[number]]
        raise miss(self.path, asked, self._recordings, len(places))


@contextmanager
def cassette(
    path: str | PathLike[str],
    *,
    mode: Mode = "auto",
    scrub: Sequence[str | re.Pattern[str]] = (),
) -> Iterator[Tape]:
    """Records the model calls of a session once, and answers them from the file afterwards.

    While it answers, no ``LMLite`` starts, and neither a server nor the network is touched; prompts, parsing,
    validation, retries and errors are the real ones. A call is found by its block, its model, its messages, its
    schema and its sampling; of equal calls the first one gets the first answer, and so on. Only calls of this
    process are seen.

    The file is written when the ``with`` block ends without an error, whole or not at all. It holds prompts and
    answers, and no headers or tokens; texts are scrubbed of the secrets in settings and environment, and of what
    ``scrub`` matches.

    Args:
        path: Of the file, JSON.
        mode: ``record`` calls the models and replaces the file; ``replay`` needs the file; ``auto`` records when
            there is none. ``CONDUIT_CASSETTES=replay`` makes ``auto`` that, as is wise where tests run unattended.
        scrub: Regular expressions of what is not to be written. They are also applied to what is asked
            afterwards, so that it is found all the same.

    Raises:
        CassetteError: The file cannot be read or written, or comes from a newer Conduit.
        CassetteMiss: Raised by a call that is not on the cassette.
    """
    if mode not in ("auto", "record", "replay"):
        raise ArgumentInvalid(f"mode must be 'auto', 'record' or 'replay', not {mode!r}.", argument="mode")
    known = settings.load()
    file, mode = Path(path), known.cassettes if mode == "auto" else mode
    try:
        scrubber = Scrubber(known, scrub)
    except re.error as error:
        raise ArgumentInvalid(
            f"scrub takes regular expressions; {error.pattern!r} is none: {error}.", argument="scrub"
        ) from error
    if mode == "replay" or (mode == "auto" and file.exists()):
        with override(lm=_Player(file, scrubber)) as player:
            yield player
        return
    with listen(_Recorder(file, scrubber)) as recorder:
        try:
            yield recorder
        except BaseException as error:
            logger.warning(
                "The cassette %s was not recorded: the session ended with %s", file, type(error).__name__
            )
            raise
    recorder.save()


def _settled(recordings: Sequence[Recording]) -> list[Recording]:
    """Without the calls that failed for the moment and were made again with success: the last word is kept."""
    answered = {recording.asked.key for recording in recordings if recording.error is None}
    return [r for r in recordings if not (_passing(r.error) and r.asked.key in answered)]


def _passing(error: ConduitError | None) -> bool:
    lasting = isinstance(error, RequestRefused) and not isinstance(error, Overloaded)
    return isinstance(error, ModelError) and not lasting
