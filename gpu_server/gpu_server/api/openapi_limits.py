"""Narrows the document to this server: its models, what their engines can do, and how fields go together.

The models that check requests know what the protocol allows; what is refused beyond that depends on what is served.
A field that no model here can carry out is documented with the values that ask for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gpu_server.engines.base import Abilities

_NULL: dict[str, Any] = {"type": "null"}


@dataclass(frozen=True, slots=True)
class Served:
    """A model as far as the document goes."""

    model_id: str
    max_model_len: int
    abilities: Abilities


def narrow_chat(form: dict[str, Any], served: Iterable[Served]) -> bool:
    """Narrow the chat request; tell whether any model takes one."""
    able = [model for model in served if model.abilities.generate]
    fields = form["properties"]
    _narrow_text(form, able)
    if not any(model.abilities.tools for model in able):
        fields["tools"] = {"anyOf": [{"type": "array", "maxItems": 0}, _NULL]}
        fields["tool_choice"] = {"enum": ["none", "auto", None]}
    most = _most_logprobs(able)
    if most is None:
        fields["logprobs"], fields["top_logprobs"] = {"enum": [False, None]}, {"enum": [0, None]}
    else:
        fields["top_logprobs"] = {
            "anyOf": [{"type": "integer", "minimum": 0, "maximum": min(20, most)}, _NULL]
        }
    fields["max_completion_tokens"] = fields["max_tokens"]
    form["allOf"] += [
        _only_with({"top_logprobs": {"enum": [0, None]}}, {"logprobs": {"const": True}}),
        _only_with(
            {"tool_choice": {"not": {"const": "required"}}}, {"tools": {"type": "array", "minItems": 1}}
        ),
    ]
    return bool(able)


def narrow_completions(form: dict[str, Any], served: Iterable[Served]) -> bool:
    """Narrow the request for raw text; tell whether any model takes one."""
    able = [model for model in served if model.abilities.completions]
    _narrow_text(form, able)
    most = _most_logprobs(able)
    if most is None:
        form["properties"]["logprobs"] = _NULL
    elif most < 5:
        form["properties"]["logprobs"] = {
            "anyOf": [{"type": "integer", "minimum": 0, "maximum": most}, _NULL]
        }
    return bool(able)


def narrow_embeddings(form: dict[str, Any], served: Iterable[Served]) -> bool:
    """Narrow the request for vectors; tell whether any model takes one."""
    able = [model for model in served if model.abilities.embeddings]
    form["properties"]["model"] = _ids(able)
    return bool(able)


def _narrow_text(form: dict[str, Any], able: list[Served]) -> None:
    fields = form["properties"]
    fields["model"] = _ids(able)
    longest = max((model.max_model_len for model in able), default=2)
    fields["max_tokens"] = {"anyOf": [{"type": "integer", "minimum": 1, "maximum": longest - 1}, _NULL]}
    form["allOf"] = [_only_with({"stream_options": _NULL}, {"stream": {"const": True}})]
    if not any(model.abilities.seeds for model in able):
        form["allOf"].append(_only_with({"seed": _NULL}, {"temperature": {"const": 0}}))


def _ids(able: list[Served]) -> dict[str, Any]:
    return {"enum": sorted(model.model_id for model in able)}


def _most_logprobs(able: list[Served]) -> int | None:
    told = [model.abilities.logprobs for model in able if model.abilities.logprobs is not None]
    return max(told, default=None)


def _only_with(harmless: dict[str, Any], needed: dict[str, Any]) -> dict[str, Any]:
    """Return that a field is harmless, or that another one has the value that it needs."""
    return {"anyOf": [{"properties": harmless}, {"properties": needed, "required": list(needed)}]}
