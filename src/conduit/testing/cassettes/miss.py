"""Why a call is not on a cassette: the recording that is nearest to it, and what is different."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from conduit.errors import CassetteMiss
from conduit.testing.cassettes.recording import Asked, Recording

_MOST_COMPARED = 200
_MOST_LINES = 12
_LINE_CHARS = 120
_COMPARED_CHARS = 2_000
# How `mdl` heads the parts of a typed call's system message.
_HEADING = re.compile(r"^(INPUT|OUTPUT|EXAMPLES)$", re.MULTILINE)

_HINT = 'Record anew where the model can be reached: delete the file, or cassette(..., mode="record").'
_WORDS = {
    "block": "the block's name",
    "model": "the model",
    "instruction": "the instruction (the docstring)",
    "signature": "the signature (the types)",
    "examples": "the examples",
    "sampling": "the sampling",
    "input": "the input",
    "messages": "the messages before",
    "count": "how often it is asked",
}


def miss(path: Path, asked: Asked, recordings: Sequence[Recording], equal: int) -> CassetteMiss:
    """The error for a call that is not on the cassette.

    Args:
        path: Of the cassette.
        asked: The call.
        recordings: All that is on the cassette.
        equal: How many recordings of the very same call there are; all are used.
    """
    changed: tuple[str, ...] = ()
    details = ""
    nearest = _nearest(asked, recordings)
    if equal:
        changed = ("count",)
        details = f"it was recorded {equal} time{'s' * (equal > 1)}, and is asked once more."
    elif nearest is None:
        names = ", ".join(sorted({repr(recording.asked.name) for recording in recordings})) or "nothing"
        details = f"it holds no call of it; it holds: {names}."
    else:
        differences = dict(_differences(nearest, asked))
        changed = tuple(differences)
        words = " and ".join(_WORDS[name] for name in changed)
        lines = [line for diff in differences.values() for line in diff]
        more = [f"  … {len(lines) - _MOST_LINES} more lines"] if len(lines) > _MOST_LINES else []
        shown = "\n".join((*lines[:_MOST_LINES], *more))
        details = f"{words} changed since it was recorded:\n{shown}"
    return CassetteMiss(
        f"The cassette {path} has no answer for this call of {_who(asked)}: {details}",
        hint=_HINT,
        path=str(path),
        block=asked.block,
        changed=changed,
    )


def cut(path: Path, asked: Asked) -> CassetteMiss:
    """The error for a stream whose reader left it when it was recorded, and now reads on."""
    return CassetteMiss(
        f"The cassette {path} has only the beginning of this stream of {_who(asked)}: its reader left it there.",
        hint=_HINT,
        path=str(path),
        block=asked.block,
        changed=("count",),
    )


def _who(asked: Asked) -> str:
    return f"block {asked.block!r}" if asked.block else repr(asked.name)


def _nearest(asked: Asked, recordings: Sequence[Recording]) -> Asked | None:
    same = [recording.asked for recording in recordings if recording.asked.name == asked.name]
    if not same:  # a block by another name that was asked the very same
        alike = (
            r.asked for r in recordings if [name for name, _ in _differences(r.asked, asked)] == ["block"]
        )
        return next(alike, None)
    return min(same[:_MOST_COMPARED], key=lambda recorded: _distance(recorded, asked))


def _distance(recorded: Asked, asked: Asked) -> tuple[int, float]:
    changed = [name for name, _ in _differences(recorded, asked)]
    before, now = (json.dumps(one.further)[:_COMPARED_CHARS] for one in (recorded, asked))
    return len(changed), -difflib.SequenceMatcher(None, before, now, autojunk=False).quick_ratio()


def _differences(recorded: Asked, asked: Asked) -> Iterator[tuple[str, list[str]]]:
    if recorded.block != asked.block:
        yield "block", _diff(str(recorded.block), str(asked.block))
    if recorded.model_id != asked.model_id:
        yield "model", _diff(recorded.model_id, asked.model_id)
    before, now = _parts(recorded), _parts(asked)
    if before["instruction"] != now["instruction"]:
        yield "instruction", _diff(before["instruction"], now["instruction"])
    types = [parts["INPUT"] + parts["OUTPUT"] for parts in (before, now)]
    if types[0] != types[1]:
        yield "signature", _diff(*types)
    elif recorded.schema != asked.schema:
        yield "signature", _diff(_json(recorded.schema), _json(asked.schema))
    if before["EXAMPLES"] != now["EXAMPLES"]:
        yield "examples", _diff(before["EXAMPLES"], now["EXAMPLES"])
    if recorded.sampling != asked.sampling:
        yield "sampling", _diff(_json(recorded.sampling), _json(asked.sampling))
    if recorded.further != asked.further:
        conversation = len(asked.further) > 1 and recorded.further[:1] == asked.further[:1]
        yield (
            "messages" if conversation else "input",
            _diff(_messages(recorded), _messages(asked)),
        )


def _parts(asked: Asked) -> dict[str, str]:
    """The system message of a typed call, by its headings."""
    parts = dict.fromkeys(("instruction", "INPUT", "OUTPUT", "EXAMPLES"), "")
    system = asked.system or ""
    if asked.schema is None:
        return {**parts, "instruction": system}
    name = "instruction"
    for text in _HEADING.split(system):
        if text in parts:
            name = text
            parts[name] += f"{text}\n"
        else:
            parts[name] += text.strip("\n") + "\n"
    return parts


def _messages(asked: Asked) -> str:
    return "\n".join(_content(message["content"]) for message in asked.further if "content" in message)


def _content(content: object) -> str:
    if not isinstance(content, str):
        return _json(content)
    try:
        return _json(json.loads(content))  # a typed call's input: a field a line
    except ValueError:
        return content


def _json(data: object) -> str:
    return json.dumps(data, indent=1, ensure_ascii=False, sort_keys=True)


def _diff(before: str, now: str) -> list[str]:
    lines = difflib.unified_diff(before.splitlines(), now.splitlines(), lineterm="", n=0)
    return [
        f"  {line[:_LINE_CHARS]}" for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")
    ]
