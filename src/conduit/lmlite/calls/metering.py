"""What one call cost, over all of its attempts: the row that it leaves in the run log."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from conduit.errors import AnswerError, ConduitError, OutputInvalid
from conduit.lmlite.nodes.model_files import LoadedModel
from conduit.lmlite.request import LMReply, LMRequest, block_call_id, flow_run_id
from conduit.store import Attempt, ModelCall


@dataclass
class Meter:
    """Counts while the call runs. Keeps no text: inputs are hashed.

    Attributes:
        cost_usd: What its attempts have cost so far, failed ones included.
        first_token_s: Of the last answer, from sending its request.
    """

    request: LMRequest
    cost_usd: float = 0.0
    first_token_s: float | None = None
    started_at: float = field(default_factory=time.time)
    _begun: float = field(default_factory=time.perf_counter)
    _attempts: list[Attempt] = field(default_factory=list)

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The attempts so far."""
        return tuple(self._attempts)

    def attributes(self) -> dict[str, int | str | None]:
        """What a span tells of the call, in the words of OpenTelemetry's conventions for generative models."""
        return {
            "gen_ai.usage.input_tokens": sum(attempt.prompt_tokens or 0 for attempt in self._attempts),
            "gen_ai.usage.output_tokens": sum(attempt.completion_tokens or 0 for attempt in self._attempts),
            "conduit.request.id": self.request.request_id,
            "conduit.attempts": sum(attempt.sent for attempt in self._attempts),
        }

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Counts what happens inside as one attempt; ``answered`` tells what came of it."""
        begun = time.perf_counter()
        self._attempts.append(Attempt())
        try:
            yield
        except BaseException as error:
            self._change(error=code_of(error))
            raise
        finally:
            self._change(latency_s=time.perf_counter() - begun)

    def spend(self, usd: float) -> None:
        """Counts what an attempt has cost."""
        self.cost_usd += usd

    def answered(self, reply: LMReply) -> None:
        """Counts an answer, used or not."""
        self.first_token_s = reply.first_token_s
        self._change(
            sent=reply.attempts,
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=reply.completion_tokens,
            finish_reason=reply.finish_reason,
            replica=reply.replica,
        )

    def taken(self, repairs: Sequence[str] = ()) -> None:
        """Notes that the last answer was taken, after these repairs."""
        self._change(repairs=tuple(repairs))

    def refused(self, error: AnswerError) -> None:
        """Notes why the last answer was not taken."""
        problems = len(error.errors) if isinstance(error, OutputInvalid) else 0
        self._change(error=error.code, problems=problems)

    def row(self, *, error: str | None, deployment_key: str, loaded: LoadedModel | None = None) -> ModelCall:
        """The row, once the call has ended."""
        replicas = [attempt.replica for attempt in self._attempts if attempt.replica is not None]
        return ModelCall(
            started_at=self.started_at,
            model_id=self.request.model_id,
            block=self.request.block,
            inputs_hash=_hash(self.request),
            prompt_tokens=sum(attempt.prompt_tokens or 0 for attempt in self._attempts),
            completion_tokens=sum(attempt.completion_tokens or 0 for attempt in self._attempts),
            latency_s=time.perf_counter() - self._begun,
            replica=replicas[-1] if replicas else None,
            attempts=max(1, sum(attempt.sent for attempt in self._attempts)),
            repairs=len(self._attempts[-1].repairs) if self._attempts else 0,
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

    def _change(self, **changes: object) -> None:
        self._attempts[-1] = replace(self._attempts[-1], **changes)  # type: ignore[arg-type] # its own fields


def code_of(error: BaseException) -> str:
    """The error's name in the run log."""
    return error.code if isinstance(error, ConduitError) else type(error).__name__


def _hash(request: LMRequest) -> str:
    text = json.dumps([request.model_id, request.messages], separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()
