"""Prompts: rendered with the model's template, counted with its tokenizer."""

import json
from pathlib import Path
from typing import Any

import pytest

import random_weights
from gpu_server.engines.base import LoadError, PromptRefused
from gpu_server.engines.embedded.prompt import Prompts
from support.tool_model import TOOL_TEMPLATE, with_template

TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def ask(content: str) -> dict[str, Any]:
    return {"role": "user", "content": content}


def test_prompts_are_counted_with_their_template(tmp_path: Path) -> None:
    prompts = Prompts(random_weights.make(tmp_path))
    texts = [prompts.render([ask(content)], enable_thinking=True) for content in ("", "b" * 50)]
    empty, longer = prompts.count(texts)
    assert longer > empty > 0


def test_a_template_can_refuse(tmp_path: Path) -> None:
    folder = random_weights.make(tmp_path)
    (folder / "chat_template.jinja").write_text("{{ raise_exception('roles must alternate') }}")
    with pytest.raises(PromptRefused, match="roles must alternate"):
        Prompts(folder).render([ask("x")], enable_thinking=True)


def test_a_template_cannot_leave_its_sandbox(tmp_path: Path) -> None:
    folder = random_weights.make(tmp_path)
    (folder / "chat_template.jinja").write_text("{{ messages.__class__.__base__.__subclasses__() }}")
    with pytest.raises(PromptRefused):
        Prompts(folder).render([ask("x")], enable_thinking=True)


def test_a_model_without_a_template_is_not_served(tmp_path: Path) -> None:
    folder = random_weights.make(tmp_path)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    del config["chat_template"]
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(LoadError, match="no chat template"):
        Prompts(folder)


def test_a_template_tells_whether_it_takes_tools(tmp_path: Path) -> None:
    folder = random_weights.make(tmp_path)
    assert not Prompts(folder).takes_tools
    prompts = Prompts(with_template(folder, TOOL_TEMPLATE))
    assert prompts.takes_tools
    without = prompts.render([ask("x")], enable_thinking=True)
    assert "weather" in prompts.render([ask("x")], enable_thinking=True, tools=[TOOL])
    assert "weather" not in without


def test_an_embedding_model_needs_no_template(tmp_path: Path) -> None:
    folder = with_template(random_weights.make(tmp_path), None)
    assert Prompts(folder, chat=False).count(["some words"])[0] > 0


def test_a_text_that_begins_with_the_first_token_gets_no_second_one(tmp_path: Path) -> None:
    folder = random_weights.make(tmp_path)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"bos_token": "<|im_start|>"}))
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    start = next(token["id"] for token in tokenizer["added_tokens"] if token["content"] == "<|im_start|>")
    tokenizer["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "<|im_start|>", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {
            "<|im_start|>": {"id": "<|im_start|>", "ids": [start], "tokens": ["<|im_start|>"]}
        },
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    plain, begun = Prompts(folder).count(["b", "<|im_start|>b"])
    assert plain == begun == 2
