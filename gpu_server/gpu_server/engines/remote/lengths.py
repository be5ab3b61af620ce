"""What can be known of a prompt's length without a tokenizer, and whether an answer is JSON."""

from __future__ import annotations

import json

from gpu_server.engines.base import Job


def least_tokens(text: str) -> int:
    """Return a number of tokens that the text has at least: tokenizers do not join words."""
    return len(text.split())


def least_of(job: Job) -> int:
    """Return a number of tokens that the job's prompt has at least."""
    if job.prompt is not None:
        return least_tokens(job.prompt)
    return sum(least_tokens(message.content) for message in job.messages)


def cut(seen: int, least: int) -> str:
    """Say that the server read less than it was given."""
    return (
        f"the engine's server read {seen} tokens of a prompt that has at least {least}: it cut the prompt without "
        "saying so; send a shorter one, or start that server with a larger context"
    )


def is_json(text: str) -> bool:
    """Tell whether the text is one JSON value; one that is too deep to read counts as JSON."""
    try:
        json.loads(text)
    except RecursionError:
        return True
    except ValueError:
        return False
    return True
