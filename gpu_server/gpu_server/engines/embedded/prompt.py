"""Renders a model's chat template and counts its tokens, so that limits hold before the engine sees a request.

The engine renders the same template itself; this is the second reading, for counting. It follows the engine's rules
for special tokens and for the variables that templates ask about. Where the engine would lose a part of the
conversation (the calls of earlier turns), this rendering is what the engine gets.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import jinja2
import jinja2.meta
import jinja2.sandbox
from tokenizers import Tokenizer

from gpu_server.engines.base import LoadError, PromptRefused


class Prompts:
    """The prompts of one model folder.

    Args:
        folder: Holds `tokenizer.json`, `tokenizer_config.json`, perhaps `chat_template.jinja`.
        chat: Whether the folder must have a chat template.

    Raises:
        LoadError: The folder has no tokenizer or no chat template, or they cannot be read.
    """

    def __init__(self, folder: Path, *, chat: bool = True) -> None:
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # the library raises bare Exception
            raise LoadError(f"cannot read {folder / 'tokenizer.json'}: {error}") from error
        config = read_json(folder / "tokenizer_config.json")
        self._specials = {
            name: text
            for name in ("bos_token", "eos_token", "unk_token")
            if (text := _token_text(config.get(name))) is not None
        }
        self.template = _template_text(folder, config) if chat else None
        environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = _tojson
        environment.globals |= {"raise_exception": _raise, "strftime_now": _strftime_now}
        try:
            self._compiled = environment.from_string(self.template or "")
            self._variables = jinja2.meta.find_undeclared_variables(environment.parse(self.template or ""))
        except jinja2.TemplateError as error:
            raise LoadError(f"the chat template of {folder} cannot be compiled: {error}") from error

    @property
    def takes_tools(self) -> bool:
        """Whether the template tells the model of tools, in the form of calls that `ToolText` reads."""
        return "tools" in self._variables and "<tool_call>" in (self.template or "")

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        enable_thinking: bool,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> str:
        """Return the conversation as the model reads it.

        Raises:
            PromptRefused: The template refuses the conversation.
        """
        try:
            return self._compiled.render(
                messages=messages,
                add_generation_prompt=True,
                enable_thinking=enable_thinking,
                **({"tools": tools} if tools else {}),
                **self._specials,
            )
        except jinja2.TemplateError as error:
            raise PromptRefused(
                f"the model's chat template refuses these messages: {error.message}"
            ) from error

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, special tokens included."""
        bos = self._specials.get("bos_token")
        # The batch form gives the GIL back; the single one holds it for as long as the text takes.
        begun = [bool(bos) and text.startswith(str(bos)) for text in texts]
        if not any(begun):
            return [len(tokens) for tokens in self._tokenizer.encode_batch_fast(texts)]
        return [
            len(self._tokenizer.encode_batch_fast([text], add_special_tokens=not has)[0])
            for text, has in zip(texts, begun, strict=True)
        ]


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object of a model folder.

    Raises:
        LoadError: It is missing, or is no JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LoadError(f"cannot read {path}: {error}") from error
    if not isinstance(value, dict):
        raise LoadError(f"{path} is not a JSON object")
    return value


def _template_text(folder: Path, config: Mapping[str, Any]) -> str:
    file = folder / "chat_template.jinja"
    if file.exists():
        return file.read_text(encoding="utf-8")
    template = config.get("chat_template")
    if template is None and (folder / "chat_template.json").exists():
        template = read_json(folder / "chat_template.json").get("chat_template")
    if isinstance(template, list):  # several by name; the plain conversation is "default"
        template = {entry.get("name"): entry.get("template") for entry in template}.get("default")
    if not isinstance(template, str):
        raise LoadError(f"{folder} has no chat template: a base model cannot answer chat requests")
    return template


def _token_text(value: object) -> str | None:
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else None


def _tojson(value: object, indent: int | None = None, **_: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _strftime_now(pattern: str) -> str:
    return datetime.now().astimezone().strftime(pattern)
