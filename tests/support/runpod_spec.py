"""RunPod's own OpenAPI document, where it lies beside the repository: what an answer must look like."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

SPEC = Path(__file__).resolve().parents[2].parent / "shared" / "specs" / "runpod-rest-v2.openapi.json"
needs_spec = pytest.mark.skipif(
    not SPEC.exists(), reason=f"RunPod's OpenAPI document is not in {SPEC.parent}"
)
URI = "urn:runpod"


@cache
def document() -> dict[str, Any]:
    return json.loads(SPEC.read_text())


def operations() -> set[tuple[str, str]]:
    methods = {"get", "put", "post", "patch", "delete"}
    return {
        (method.upper(), path)
        for path, item in document()["paths"].items()
        for method in item
        if method in methods
    }


def check(response: httpx.Response) -> tuple[str, str]:
    """Holds an answer against its operation's responses, and returns the operation."""
    method, path = response.request.method, response.request.url.path
    known = [
        (m, p) for m, p in operations() if m == method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", p), path)
    ]
    # A fixed segment is meant before a variable one.
    operation = min(known, key=lambda one: one[1].count("{"))
    responses = document()["paths"][operation[1]][method.lower()]["responses"]
    found = resolved(responses.get(str(response.status_code), responses["default"]))
    declared = found.get("content", {})
    if not declared:
        assert response.content == b""
        return operation
    kind = response.headers["content-type"].partition(";")[0]
    assert kind in declared, f"{operation}: {response.status_code} is {kind}, not one of {list(declared)}"
    if kind.endswith("json"):
        _validator(json.dumps(declared[kind]["schema"])).validate(response.json())
    return operation


def resolved(value: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in value:
        return value
    found: Any = document()
    for part in value["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return found


@cache
def _validator(schema: str) -> Draft202012Validator:
    registry = Registry().with_resource(URI, Resource.from_contents(document(), DRAFT202012))
    absolute = json.loads(schema.replace('"#/', f'"{URI}#/'))
    return Draft202012Validator(absolute, registry=registry, format_checker=FormatChecker())
