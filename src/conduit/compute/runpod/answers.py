"""What RunPod's answers mean: every status that is no success, as one of Conduit's errors.

RunPod's statuses are https://docs.runpod.io's for REST v2: problem documents (RFC 9457), and for "sold out" nothing
but the text of a 400.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from conduit.errors import (
    AmbiguousAnswer,
    BalanceTooLow,
    NoCapacity,
    OfferingRefused,
    ProviderBusy,
    ProviderError,
    ProviderRejected,
    ProviderUnauthorized,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PROVIDER = "runpod"

SOLD_OUT = (
    "no longer any instances available",
    "no instances currently available",
    "not have the resources to deploy your pod",
    "not enough free gpus",
    "no gpus available",
    "no available machines",
    "insufficient capacity",
    "out of stock",
    "supply constraint",
)
"""Parts of the texts, in small letters, with which RunPod has said that it has no such machine left."""

_SHOWN_CHARS = 500
_LONGEST_RETRY_S = 3600.0


@dataclass(frozen=True)
class Answer:
    """A whole answer.

    Attributes:
        asked: Method and path, for messages.
        headers: With names in small letters.
    """

    asked: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body's value; None when it is no JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


def error_of(answer: Answer, *, secrets: Iterable[str], creates: bool) -> ProviderError:
    """The error that an answer without success means.

    Args:
        answer: Whose status is no 2xx.
        secrets: Never to be shown, should the answer repeat them.
        creates: Whether it was asked for a machine: then there may be another offering.
    """
    status = answer.status
    said = _said(answer, secrets)
    known: dict[str, Any] = {"provider": PROVIDER, "status": status}
    text = f"RunPod answered {answer.asked} with {status}: {said}"
    if status == 401:
        return ProviderUnauthorized(text, hint=f"The key is not valid. {KEY_HINT}", **known)
    if status == 402:
        return BalanceTooLow(text, hint="Add money to the account at https://console.runpod.io.", **known)
    if status == 429:
        retry_after_s = _retry_after_s(answer.headers)
        again = "soon" if retry_after_s is None else f"in {retry_after_s:g} s"
        return ProviderBusy(text, hint=f"Try again {again}.", retry_after_s=retry_after_s, **known)
    if status == 409:
        return ProviderBusy(text, hint="Its state does not allow that now; try again soon.", **known)
    if creates and status == 400:
        if any(part in said.lower() for part in SOLD_OUT):
            return NoCapacity(text, hint="Take another GPU, cloud or region, or try later.", **known)
        # Its documents say to try the next candidate: a 400 says in words alone whether the request is at fault.
        hint = "If every offering is answered so, the request is at fault: read what RunPod says."
        return OfferingRefused(text, hint=hint, **known)
    if status == 403:
        if creates:
            return OfferingRefused(text, hint="This account may not have that machine.", **known)
        return ProviderUnauthorized(text, hint=f"The key may not do that. {KEY_HINT}", **known)
    if 400 <= status < 500 and status != 408:
        wrong = "CONDUIT_RUNPOD_BASE_URL should be https://api.runpod.io." if status in (404, 405) else None
        return ProviderRejected(text, hint=wrong, **known)
    return AmbiguousAnswer(text, hint=look_hint(answer.asked), **known)


def unreadable(answer: Answer, problem: str) -> AmbiguousAnswer:
    """An answer that says success and is not what it should be."""
    kind = answer.headers.get("content-type", "no type")[:60]
    return AmbiguousAnswer(
        f"RunPod answered {answer.asked} with {answer.status}, but {problem} ({len(answer.body)} bytes of {kind}).",
        hint=look_hint(answer.asked),
        provider=PROVIDER,
        status=answer.status,
    )


KEY_HINT = (
    "Set CONDUIT_RUNPOD_API_KEY or RUNPOD_API_KEY to a key from https://console.runpod.io/user/settings."
)
LOOK_HINT = (
    "Look before you ask again: `conduit status` shows what there is, `conduit gc` ends what nobody wants."
)


def look_hint(asked: str) -> str:
    """What to do after a request that told nothing."""
    if asked.startswith("GET "):
        return "Try again; is CONDUIT_RUNPOD_BASE_URL right, and can this machine reach it?"
    return LOOK_HINT


def is_problem(answer: Answer) -> bool:
    """Whether the API itself said it, and not something else that listens at a wrong address."""
    document = answer.json
    return isinstance(document, dict) and any(name in document for name in ("title", "detail", "error"))


def _said(answer: Answer, secrets: Iterable[str]) -> str:
    document = answer.json
    if isinstance(document, dict) and is_problem(answer):
        parts = [document.get("detail") or document.get("error") or document.get("title")]
        faults = document.get("errors")
        parts += faults if isinstance(faults, list) else []
        said = "; ".join(" ".join(str(part).split()) for part in parts if part)
    else:
        kind = answer.headers.get("content-type", "no type")[:60]
        said = f"{len(answer.body)} bytes of {kind}, which is no problem document"
    for secret in filter(None, secrets):
        said = said.replace(secret, "***")
    return said[:_SHOWN_CHARS]


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The header's seconds, or its date as seconds from now; None when there is neither."""
    given = headers.get("retry-after", "").strip()
    try:
        seconds = float(given)
    except ValueError:
        try:
            moment = parsedate_to_datetime(given)
        except ValueError:
            return None
        seconds = (moment - datetime.now(moment.tzinfo and UTC)).total_seconds()
    return min(max(seconds, 0.0), _LONGEST_RETRY_S) if math.isfinite(seconds) else None
