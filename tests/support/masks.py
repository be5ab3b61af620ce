"""Masks as llguidance makes them, over the least tokenizer: one token a byte."""

import json
from typing import Any

import llguidance


class _Bytes:
    eos_token_id = 256
    bos_token_id = None
    special_token_ids = (256,)
    tokens = (*(bytes([i]) for i in range(256)), b"<end>")

    def __call__(self, text: bytes | str) -> list[int]:
        return list(text if isinstance(text, bytes) else text.encode())


_TOKENIZER = llguidance.LLTokenizer(llguidance.TokenizerWrapper(_Bytes()))


class Mask:
    """A compiled schema; compiling one that the engine refuses is an error."""

    def __init__(self, schema: dict[str, Any]) -> None:
        grammar = llguidance.LLMatcher.grammar_from_json_schema(json.dumps(schema))
        self._matcher = llguidance.LLMatcher(_TOKENIZER, grammar, log_level=0)
        if self._matcher.is_error():
            raise ValueError(self._matcher.get_error())

    def accepts_text(self, text: str) -> bool:
        self._matcher.reset()
        taken = list(text.encode())
        return bool(self._matcher.try_consume_tokens(taken) == len(taken) and self._matcher.is_accepting())

    def accepts(self, value: Any) -> bool:
        """The value in compact JSON, in which masks want it."""
        return self.accepts_text(json.dumps(value, separators=(",", ":"), ensure_ascii=False))

    def begins(self, text: str) -> bool:
        """An answer may begin like this."""
        self._matcher.reset()
        taken = list(text.encode())
        return bool(self._matcher.try_consume_tokens(taken) == len(taken) and not self._matcher.is_error())
