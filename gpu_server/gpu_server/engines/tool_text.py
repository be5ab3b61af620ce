"""Finds the calls in an answer of a model that writes `<tool_call>{"name": …, "arguments": …}</tool_call>`.

Most open models with a chat template for tools write them so. What only looks like a call stays text.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gpu_server.engines.base import Tool, ToolCall

_OPEN, _CLOSE = "<tool_call>", "</tool_call>"


class ToolText:
    """Parts the pieces of one answer into text and calls.

    Args:
        names: The functions that there are.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.found = 0
        self._names = frozenset(names)
        self._held = ""
        """What may become an opening mark; behind one, what may become a call."""
        self._inside = False
        self._after_call = False

    def feed(self, text: str) -> tuple[str, list[ToolCall]]:
        """Take the next piece; return the text that may be shown, and the calls that are whole."""
        held, shown, calls = self._held + text, "", list[ToolCall]()
        while True:
            before, mark, after = held.partition(_CLOSE if self._inside else _OPEN)
            if not mark:
                break
            if not self._inside:
                shown += self._visible(before)
            elif (call := self._call(before)) is not None:
                calls.append(call)
            else:
                shown += f"{_OPEN}{before}{_CLOSE}"
            self._inside, held = not self._inside, after
        if not self._inside:
            size = next(size for size in range(len(_OPEN) - 1, -1, -1) if held.endswith(_OPEN[:size]))
            shown += self._visible(held[: len(held) - size])
            held = held[len(held) - size :]
        self._held = held
        return shown, calls

    def rest(self) -> tuple[str, list[ToolCall]]:
        """Return what was held back at the end of the answer; a model may leave the last mark out."""
        held, self._held = self._held, ""
        if not self._inside:
            return held, []
        call = self._call(held)
        return ("", [call]) if call is not None else (_OPEN + held, [])

    def _visible(self, text: str) -> str:
        """Models put each call on a line of its own; those line breaks are no text of the answer."""
        if self._after_call:
            text = text.lstrip("\n")
            self._after_call = not text
        return text

    def _call(self, text: str) -> ToolCall | None:
        call = read_call(text, self.found)
        if call is None or call.name not in self._names:
            return None
        self.found += 1
        self._after_call = True
        return call


def read_call(text: str, index: int) -> ToolCall | None:
    """Return the call that this JSON text is; None when it is none."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return None
    arguments = value.get("arguments", {})
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    return ToolCall(index, f"call_{uuid.uuid4().hex}", value["name"], arguments)


def call_schema(tools: Sequence[Tool], choice: str) -> Mapping[str, Any] | None:
    """Return the schema of the call that must be made; None when the model is free to answer with text."""
    if choice in ("auto", "none"):
        return None
    wanted = [tool for tool in tools if choice in ("required", tool.name)]
    calls = [
        {
            "type": "object",
            "properties": {"name": {"const": tool.name}, "arguments": _rooted(tool.parameters)},
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for tool in wanted
    ]
    return calls[0] if len(calls) == 1 else {"anyOf": calls}


def _rooted(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """References inside a schema count from its root, which an `$id` of its own moves to where it stands now."""
    return {"$id": f"urn:uuid:{uuid.uuid4()}", **parameters} if "$defs" in parameters else parameters
