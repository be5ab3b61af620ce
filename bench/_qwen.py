"""Qwen's tokenizer, from the ranks that come with the ``dashscope`` wheel: no hub is asked."""

from __future__ import annotations

import base64
import importlib.util
from pathlib import Path

import tiktoken

_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def qwen() -> tiktoken.Encoding:
    found = importlib.util.find_spec("dashscope")
    assert found is not None
    assert found.submodule_search_locations
    ranks = Path(found.submodule_search_locations[0]) / "resources" / "qwen.tiktoken"
    pairs = (line.split() for line in ranks.read_bytes().splitlines() if line)
    return tiktoken.Encoding(
        "qwen",
        pat_str=_WORDS,
        mergeable_ranks={base64.b64decode(token): int(rank) for token, rank in pairs},
        special_tokens={},
    )
