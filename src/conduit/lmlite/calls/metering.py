"""What one call cost, over all of its attempts: the row that it leaves in the run log, and its span."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

from conduit import telemetry
from conduit.errors import AnswerError, ConduitError, OutputInvalid
from conduit.lmlite.nodes.model_files import LoadedModel
from conduit.lmlite.request import LMReply, LMRequest, block_call_id, flow_run_id
from conduit.store import Attempt, ModelCall


@dataclass
class Meter:
    """Counts while the call runs, which is while its ``with`` does. Keeps no text: inputs are hashed.

    Attributes:
        request: The call's first.
        ended: Told of the meter when the call has ended, with the code of its error, if any.
        cost_usd: What its attempts have cost so far, failed ones included.
        first_token_s: Of the last answer, from sending its request.
        started_at: Seconds since the epoch.
        attempts: Those that have ended.
    """

    request: LMRequest
    ended: Callable[[Meter, str | None], None]
    cost_usd: float = 0.0
    first_token_s: float | None = None
    started_at: float = field(default_factory=time.time)
    _begun: float = field(default_factory=time.perf_counter)
    attempts: tuple[Attempt, ...] = ()
    _sent: int = 0

    def __enter__(self) -> Self:
        model_id = self.request.model_id
        self._span = telemetry.span(
            f"chat {model_id}", **{"gen_ai.operation.name": "chat", "gen_ai.request.model": model_id}
        )
        self._span.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._span.set(**self._attributes())
            self.ended(self, None if error is None else code_of(error))
        finally:
            self._span.__exit__(kind, error, trace)

    def sent(self, cost_usd: float) -> None:
        """Counts that the request was sent to some replica, and what it has cost there."""
        self._sent += 1
        self.cost_usd += cost_usd

    def answered(self, reply: LMReply, latency_s: float) -> None:
        """Counts an attempt that was answered, whether the answer is used or not."""
        self.first_token_s = reply.first_token_s
        answered = Attempt(
            sent=self._sent_since(),
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=reply.completion_tokens,
            latency_s=latency_s,
            finish_reason=reply.finish_reason,
            replica=reply.replica,
        )
        self.attempts += (answered,)

    def failed(self, error: BaseException, latency_s: float) -> None:
        """Counts an attempt that was not."""
        failed = Attempt(sent=self._sent_since(), latency_s=latency_s, error=code_of(error))
        self.attempts += (failed,)

    def taken(self, repairs: Sequence[str] = ()) -> None:
        """Notes that the last answer was taken, after these repairs."""
        self._change(repairs=tuple(repairs))

    def refused(self, error: AnswerError) -> None:
        """Notes why the last answer was not taken."""
        problems = len(error.errors) if isinstance(error, OutputInvalid) else 0
        self._change(error=error.code, problems=problems)

    def row(self, *, error: str | None, deployment_key: str, loaded: LoadedModel | None = None) -> ModelCall:
        """The row, once the call has ended."""
        replicas = [attempt.replica for attempt in self.attempts if attempt.replica is not None]
        return ModelCall(
            started_at=self.started_at,
            model_id=self.request.model_id,
            block=self.request.block,
            inputs_hash=_hash(self.request),
            prompt_tokens=sum(attempt.prompt_tokens or 0 for attempt in self.attempts),
            completion_tokens=sum(attempt.completion_tokens or 0 for attempt in self.attempts),
            latency_s=time.perf_counter() - self._begun,
            replica=replicas[-1] if replicas else None,
            attempts=max(1, sum(attempt.sent for attempt in self.attempts)),
            repairs=len(self.attempts[-1].repairs) if self.attempts else 0,
            cost_usd=self.cost_usd,
            error=error,
            flow_run_id=flow_run_id.get(),
            deployment_key=deployment_key,
            request_id=self.request.request_id,
            attempt_log=self.attempts,
            block_call_id=block_call_id.get(),
            first_token_s=self.first_token_s,
            revision=None if loaded is None else loaded.revision,
            engine=None if loaded is None else loaded.engine,
        )

    def _sent_since(self) -> int:
        """How often since the last attempt ended; a substitute's answer is one sending, too."""
        sent, self._sent = self._sent, 0
        return max(1, sent)

    def _attributes(self) -> dict[str, int | str | None]:
        """What its span tells, in the words of OpenTelemetry's conventions for generative models."""
        return {
            "gen_ai.usage.input_tokens": sum(attempt.prompt_tokens or 0 for attempt in self.attempts),
            "gen_ai.usage.output_tokens": sum(attempt.completion_tokens or 0 for attempt in self.attempts),
            "conduit.request.id": self.request.request_id,
            "conduit.attempts": sum(attempt.sent for attempt in self.attempts),
        }

    def _change(self, **changes: object) -> None:
        *before, last = self.attempts
        self.attempts = (*before, replace(last, **changes))  # type: ignore[arg-type] # its own fields


def code_of(error: BaseException) -> str:
    """The error's name in the run log."""
    return error.code if isinstance(error, ConduitError) else type(error).__name__


def _hash(request: LMRequest) -> str:
    text = json.dumps([request.model_id, request.messages], separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()
