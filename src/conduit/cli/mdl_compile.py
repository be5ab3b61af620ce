"""Compiles one schema with llguidance, in a process of its own that its parent may end.

Reads the lowered schema from standard input and writes one JSON object: how long it took, or what was wrong. Not a
command: a compiler that runs out of time or stack takes this process with it and nothing else.
"""

from __future__ import annotations

import json
import sys
import time

from conduit.optional import require


class _Bytes:
    """The least tokenizer: one token a byte. Which tokens there are matters little to compilation."""

    eos_token_id = 256
    bos_token_id = None
    special_token_ids = (256,)
    tokens = (*(bytes([i]) for i in range(256)), b"<end>")

    def __call__(self, text: bytes | str) -> list[int]:
        return list(text if isinstance(text, bytes) else text.encode())


def main() -> None:
    """Compiles and reports."""
    llguidance = require("llguidance", extra="grammar", user="Compiling a schema")
    tokenizer = llguidance.LLTokenizer(llguidance.TokenizerWrapper(_Bytes()))
    schema = sys.stdin.read()
    begun = time.perf_counter()
    try:
        grammar = llguidance.LLMatcher.grammar_from_json_schema(schema)
        matcher = llguidance.LLMatcher(tokenizer, grammar, log_level=0)
        message = matcher.get_error() if matcher.is_error() else ""
        if not message:
            matcher.compute_bitmask()
            message = matcher.get_error() if matcher.is_error() else ""
    except ValueError as error:
        message = str(error)
    json.dump({"seconds": time.perf_counter() - begun, "message": message}, sys.stdout)


if __name__ == "__main__":
    main()
