"""The process that compiles callers' schemas: `python -m gpu_server.schemas.compiler ALARM_S MEMORY_BYTES`.

One line of JSON in (the schema), one line out: `{"refused": null}` or the reason. It imports llguidance alone, has
a memory limit, and ends itself when one schema takes longer than the alarm allows: whatever a schema does to it,
the server only sees its pipe close. It also ends when the server does.
"""

from __future__ import annotations

import json
import signal
import sys

UNSATISFIABLE = "no value can satisfy it"
MAX_REASON_CHARS = 300


class _Bytes:
    """A tokenizer of single bytes: what a grammar can enforce does not depend on the model's own."""

    eos_token_id = 256
    bos_token_id = None
    tokens = (*(bytes([value]) for value in range(256)), b"<|end|>")
    special_token_ids = (256,)

    def __call__(self, text: bytes | str) -> list[int]:
        return list(text if isinstance(text, bytes) else text.encode())


def main() -> None:
    """Serve until standard input ends."""
    alarm_s, memory_bytes = float(sys.argv[1]), int(sys.argv[2])
    from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

    tokenizer = LLTokenizer(TokenizerWrapper(_Bytes()))
    _limit_memory(memory_bytes)
    for line in sys.stdin.buffer:
        _alarm(alarm_s)
        matcher = LLMatcher(tokenizer, LLMatcher.grammar_from_json_schema(line.decode()), log_level=0)
        if not matcher.is_error():
            matcher.compute_logit_bias()  # the first mask: it has limits of its own
        refused = _reason(matcher.get_error()) if matcher.is_error() else None
        del matcher
        _alarm(0)
        sys.stdout.write(json.dumps({"refused": refused}) + "\n")
        sys.stdout.flush()


def _reason(error: str) -> str:
    """Return what the compiler said, without the parser's state."""
    text = " ".join(error.partition("<state>")[0].split())
    return (
        UNSATISFIABLE
        if text.startswith("NoExtension")
        else text[:MAX_REASON_CHARS] or "it cannot be compiled"
    )


def _alarm(seconds: float) -> None:
    """Have the kernel end this process after that time; nothing in it has to notice. Windows has no such thing."""
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _limit_memory(limit_bytes: int) -> None:
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
