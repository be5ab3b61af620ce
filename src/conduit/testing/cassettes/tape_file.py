"""A cassette's file: JSON that people can read, in an order that makes small differences.

A prompt's static part stands once, the calls after it, each beside its answer. Written as a whole or not at all.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pydantic_core

from conduit import errors
from conduit.errors import CassetteError, ConduitError
from conduit.lmlite.request import LMReply
from conduit.testing.cassettes.recording import Asked, Recording, Scrub

FORMAT, VERSION = "conduit cassette", 1

_REPLICA = "cassette"
_REPLY = ("finish_reason", "prompt_tokens", "completion_tokens", "reasoning", "refusal")


def write(path: Path, recordings: Iterable[Recording], scrub: Scrub) -> None:
    """Replaces the file.

    Raises:
        CassetteError: It cannot be written.
    """
    text = json.dumps(_document(recordings, scrub), indent=2, ensure_ascii=False) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(beside, 0o644)  # noqa: PTH101 # mkstemp's files are for their owner alone
            os.replace(beside, path)  # noqa: PTH105 # as above
        except BaseException:
            os.unlink(beside)  # noqa: PTH108 # as above
            raise
    except OSError as error:
        raise CassetteError(
            f"The cassette {path} cannot be written: {error.strerror or error}.",
            hint="The calls of this session were not recorded. Make room, or give another path.",
            path=str(path),
        ) from error


def read(path: Path) -> list[Recording]:
    """What is on the cassette, in the order of equal calls.

    Raises:
        CassetteError: It cannot be read, is damaged, or comes from a newer Conduit.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CassetteError(
            f"There is no cassette {path}.",
            hint='Record it where the model can be reached: mode="auto" does so when the file is missing.',
            path=str(path),
        ) from error
    except OSError as error:
        raise CassetteError(
            f"The cassette {path} cannot be read: {error.strerror or error}.", path=str(path)
        ) from error
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise _damaged(path, f"its first entry is not {FORMAT!r}")
    version = document.get("version")
    if isinstance(version, int) and version > VERSION:
        raise CassetteError(
            f"The cassette {path} has version {version}; this Conduit reads versions up to {VERSION}.",
            hint='Upgrade Conduit, or record it anew with mode="record".',
            path=str(path),
        )
    try:
        prompts = document["prompts"]
        return [_recording(call, prompts[call["prompt"]]) for call in document["calls"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error


def _document(recordings: Iterable[Recording], scrub: Scrub) -> dict[str, Any]:
    # Not by time, which differs from one recording of a map to the next; equal calls keep their order.
    ordered = sorted(recordings, key=lambda r: (r.asked.name, _sorted(r.asked.further), _static_key(r.asked)))
    names: dict[str, str] = {}
    prompts: dict[str, Any] = {}
    for recording in sorted(ordered, key=lambda r: (r.asked.name, _static_key(r.asked))):
        asked = recording.asked
        key = _static_key(asked)
        if key not in names:
            number = 1 + sum(prompt["name"] == asked.name for prompt in prompts.values())
            names[key] = asked.name if number == 1 else f"{asked.name} ({number})"
            prompts[names[key]] = _static(asked)
    calls = [_call(recording, names[_static_key(recording.asked)], scrub) for recording in ordered]
    return {"format": FORMAT, "version": VERSION, "prompts": prompts, "calls": calls}


def _static(asked: Asked) -> dict[str, Any]:
    """What all calls of a block have in common."""
    return {
        "name": asked.name,
        "block": asked.block,
        "model": asked.model_id,
        "sampling": dict(asked.sampling),
        # Lines, so that a change of one is a difference of one.
        "system": None if asked.system is None else asked.system.split("\n"),
        "schema": asked.schema,
    }


def _static_key(asked: Asked) -> str:
    return _sorted(_static(asked))


def _sorted(data: Any) -> str:
    return json.dumps(data, sort_keys=True)


def _call(recording: Recording, prompt: str, scrub: Scrub) -> dict[str, Any]:
    reply, usual = recording.reply, LMReply("")
    answer: dict[str, Any] = {"text": reply.text}
    answer |= {name: getattr(reply, name) for name in _REPLY if getattr(reply, name) != getattr(usual, name)}
    if recording.pieces:
        answer["pieces"] = " ".join(map(str, recording.pieces))
    if (error := recording.error) is not None:
        answer["error"] = {
            "type": type(error).__name__,
            "message": error.message,
            "hint": error.hint,
            "attributes": _plain(error.attributes),
        }
    if recording.left:
        answer["left"] = True
    # The messages are without secrets from the start.
    return {"prompt": prompt, "messages": list(recording.asked.further), **scrub(answer)}


def _plain(attributes: dict[str, Any]) -> dict[str, Any]:
    """Those that JSON can hold."""
    plain: dict[str, Any] = {}
    for name, value in attributes.items():
        with contextlib.suppress(pydantic_core.PydanticSerializationError):
            plain[name] = pydantic_core.to_jsonable_python(value)
    return plain


def _recording(call: dict[str, Any], prompt: dict[str, Any]) -> Recording:
    system = prompt["system"]
    first = () if system is None else ({"role": "system", "content": "\n".join(system)},)
    error = call.get("error")
    return Recording(
        Asked(
            name=prompt["name"],
            block=prompt["block"],
            model_id=prompt["model"],
            messages=(*first, *call["messages"]),
            schema=prompt["schema"],
            sampling=prompt["sampling"],
        ),
        LMReply(str(call["text"]), replica=_REPLICA, **{name: call[name] for name in _REPLY if name in call}),
        pieces=tuple(map(int, call.get("pieces", "").split())),
        error=None if error is None else _error(error),
        left=bool(call.get("left")),
    )


def _error(told: dict[str, Any]) -> ConduitError:
    kind = getattr(errors, told["type"], None)
    if not isinstance(kind, type) or not issubclass(kind, ConduitError):
        raise KeyError(told["type"])
    return kind(told["message"], hint=told["hint"], **told["attributes"])


def _damaged(path: Path, why: str) -> CassetteError:
    return CassetteError(
        f"{path} is no cassette, or a damaged one: {why}.",
        hint='Restore it, or record it anew with mode="record".',
        path=str(path),
    )
