"""Renders a model's chat template and counts its tokens, so that limits hold before the engine sees a request.

The engine renders the same template itself; this is the second reading, for counting. It follows the engine's rules
for special tokens and for the variables that templates ask about.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import jinja2
import jinja2.sandbox
from tokenizers import Tokenizer

from gpu_server.engines.base import LoadError, Message, PromptRefused


class PromptCounter:
    """Counts the tokens of conversations for one model folder.

    Args:
        folder: Holds `tokenizer.json`, `tokenizer_config.json`, perhaps `chat_template.jinja`.

    Raises:
        LoadError: The folder has no tokenizer or no chat template, or they cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # the library raises bare Exception
            raise LoadError(f"cannot read {folder / 'tokenizer.json'}: {error}") from error
        config = read_json(folder / "tokenizer_config.json")
        environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = _tojson
        environment.globals |= {"raise_exception": _raise, "strftime_now": _strftime_now}
        try:
            self._template = environment.from_string(_template_text(folder, config))
        except jinja2.TemplateError as error:
            raise LoadError(f"the chat template of {folder} cannot be compiled: {error}") from error
        self._specials = {
            name: _token_text(config.get(name)) for name in ("bos_token", "eos_token", "unk_token")
        }

    def count(self, messages: Sequence[Message], *, enable_thinking: bool) -> int:
        """Return the number of tokens of the rendered conversation, special tokens included.

        Raises:
            PromptRefused: The template refuses the conversation.
        """
        try:
            text = self._template.render(
                messages=[{"role": message.role, "content": message.content} for message in messages],
                add_generation_prompt=True,
                enable_thinking=enable_thinking,
                **{name: token for name, token in self._specials.items() if token is not None},
            )
        except jinja2.TemplateError as error:
            raise PromptRefused(
                f"the model's chat template refuses these messages: {error.message}"
            ) from error
        bos = self._specials["bos_token"]
        add_special = not (bos and text.startswith(bos))
        # The batch form gives the GIL back; the single one holds it for as long as the text takes.
        return len(self._tokenizer.encode_batch_fast([text], add_special_tokens=add_special)[0])


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


def _tojson(value: object, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _strftime_now(pattern: str) -> str:
    return datetime.now().astimezone().strftime(pattern)
