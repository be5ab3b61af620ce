"""A model with random weights whose chat template opens a block of thinking in the prompt, as reasoning models' do.

It never closes the block by itself: without a grammar all that it writes is thinking.
"""

from __future__ import annotations

import json
from pathlib import Path

import random_weights

_CLOSED = "{%- if message['role'] == 'assistant' %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}"


def make(folder: Path) -> Path:
    """Write the model into the folder and return it."""
    random_weights.make(folder, hidden=64, layers=2, heads=4, intermediate=128)
    file = folder / "tokenizer_config.json"
    config = json.loads(file.read_text())
    generation = "<|im_start|>assistant\n"
    template = random_weights.CHAT_TEMPLATE
    assert template.count(f"'{generation}'") == 1
    template = template.replace(f"'{generation}'", f"'{generation}<think>\n'")
    config["chat_template"] = template.replace(
        "{{- '<|im_start|>' + message", _CLOSED + "{{- '<|im_start|>' + message"
    )
    file.write_text(json.dumps(config))
    return folder
