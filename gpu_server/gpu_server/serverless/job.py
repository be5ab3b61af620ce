"""What a job asks for, as a request to the server. Pure.

{"openai_route": "/v1/chat/completions", "openai_input": {…}}     as RunPod's OpenAI address hands it over
{"messages": […], …}   {"prompt": "…", …}   {"input": …}          a body alone; its fields tell the route
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpu_server.errors import bad_request

_ROUTES = {"messages": "/v1/chat/completions", "prompt": "/v1/completions", "input": "/v1/embeddings"}
_LISTING = "/v1/models"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to the server.

    Attributes:
        body: None of a request without one.
        raw: Whether the caller wants the events of a stream as they are, and not what they say.
    """

    route: str
    body: bytes | None
    raw: bool


def read(job: Mapping[str, Any], served: Sequence[str]) -> Asked:
    """Return what a job asks for.

    Args:
        job: As the SDK gives it, with the key "input".
        served: The models' ids; one alone need not be named.

    Raises:
        ApiError: It asks for nothing that there is.
    """
    given = job.get("input")
    if not isinstance(given, Mapping):
        raise bad_request("The job's input is no object.", param="input")
    if "openai_route" in given:
        route, body = str(given["openai_route"]), given.get("openai_input")
        if route == _LISTING:
            return Asked(_LISTING, None, raw=True)
        if route not in _ROUTES.values():
            raise bad_request(f"There is no route {route[:100]!r} here.", param="openai_route")
        if not isinstance(body, Mapping):
            raise bad_request("openai_input is no object.", param="openai_input")
        return Asked(route, _body(body, served), raw=True)
    for field, route in _ROUTES.items():
        if field in given:
            return Asked(route, _body(given, served), raw=False)
    raise bad_request(f"The job's input has none of {', '.join([*_ROUTES, 'openai_route'])}.", param="input")


def _body(fields: Mapping[str, Any], served: Sequence[str]) -> bytes:
    named = {"model": served[0]} if len(served) == 1 else {}
    return json.dumps({**named, **fields}).encode()
