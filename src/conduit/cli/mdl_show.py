"""``conduit mdl show``: all that becomes of a function or a type on its way to a model."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

from rich.console import Console

from conduit import mdl
from conduit.cli.mdl_source import Source, find
from conduit.cli.render import Screen, command, table
from conduit.errors import FileError, MissingDependency, SchemaUnsupported
from conduit.mdl.lowering import Engine
from conduit.optional import require

_TINY = "conduit/tiny"


def run(target: str, *, engine: Engine, tokenizer: str | None, as_json: bool) -> None:
    """Prints prompt, schema, lowering and token count."""
    with command(as_json=as_json) as screen:
        source = find(target)
        tokens = _count(source, tokenizer, screen)
        try:
            lowered: mdl.Lowered | None = mdl.lower(source.schema, engine)
            refused = None
        except SchemaUnsupported as error:
            lowered, refused = None, error.as_dict()
        document = {
            "name": source.name,
            **_said(source),
            "schema": source.schema,
            "engine": engine,
            "lowered": lowered.schema if lowered else None,
            "report": [asdict(entry) for entry in lowered.entries] if lowered else None,
            "refused": refused,
            "tokens": tokens,
        }
        screen.result(document, lambda out: _show(out, document))


def _said(source: Source) -> dict[str, Any]:
    if source.prompt is None:
        return {"text": source.text}
    fields = source.prompt.input
    return {
        "system": source.prompt.system,
        "user": "{}" if fields is None else f"JSON of\n{mdl.render(fields)}",
        "hash": source.prompt.hash,
    }


def _count(source: Source, where: str | None, screen: Screen) -> dict[str, Any] | None:
    """Tokens of what is static: the system message, or the type's text."""
    try:
        tokenizers = require("tokenizers", extra="grammar", user="Counting tokens")
    except MissingDependency as error:
        if where is not None:
            raise
        if not screen.as_json:
            screen.progress.print(f"Tokens are not counted: {error.hint}", soft_wrap=True)
        return None
    file = _tokenizer_file(where)
    try:
        loaded = tokenizers.Tokenizer.from_str(file.read_text(encoding="utf-8"))
    except Exception as error:  # the package raises plain Exception
        raise FileError(f"{file} is no tokenizer: {error}.", path=str(file)) from error
    text = source.prompt.system if source.prompt is not None else source.text
    return {"tokenizer": where or _TINY, "count": len(loaded.encode(text, add_special_tokens=False).ids)}


def _tokenizer_file(where: str | None) -> Path:
    if where is None:
        return Path(str(resources.files("conduit.lmlite") / "tiny" / "tokenizer.json"))
    path = Path(where)
    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file():
        raise FileError(
            f"There is no tokenizer at {where}.", hint="Give a tokenizer.json or a model's folder."
        )
    return file


def _show(out: Console, document: dict[str, Any]) -> None:
    for title in ("text", "system", "user"):
        if document.get(title) is not None:
            _part(out, title, document[title])
    _part(out, "schema", json.dumps(document["schema"], ensure_ascii=False))
    _part(out, f"lowered for {document['engine']}", "")
    if document["refused"]:
        out.print(f"refused: {document['refused']['message']}", soft_wrap=True)
        out.print(f"hint: {document['refused']['hint']}", soft_wrap=True)
    else:
        rows = table("path", "keyword", "verdict", "note")
        for entry in document["report"]:
            rows.add_row(entry["path"], entry["keyword"], entry["verdict"], entry["note"])
        out.print(rows)
        out.print(json.dumps(document["lowered"], ensure_ascii=False), soft_wrap=True)
    if document["tokens"]:
        out.print()
        out.print(
            f"{document['tokens']['count']} tokens of {document['tokens']['tokenizer']}", soft_wrap=True
        )


def _part(out: Console, title: str, text: str) -> None:
    out.print(f"── {title} ──")
    if text:
        out.print(text, soft_wrap=True)
        out.print()
