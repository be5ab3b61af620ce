"""What one call cost, over all of its attempts: the row that it leaves in the run log."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, field

from conduit.lmlite.request import LMReply, LMRequest, flow_run_id
from conduit.store import ModelCall


@dataclass
class Meter:
    """Counts while the call runs. Keeps no text: inputs are hashed."""

    request: LMRequest
    started_at: float = field(default_factory=time.time)
    repairs: int = 0
    _begun: float = field(default_factory=time.perf_counter)
    _prompt_tokens: int = 0
    _completion_tokens: int = 0
    _attempts: int = 0
    _replica: str | None = None

    def add(self, reply: LMReply) -> None:
        """Counts one answer, used or not."""
        self._prompt_tokens += reply.prompt_tokens
        self._completion_tokens += reply.completion_tokens
        self._attempts += reply.attempts
        self._replica = reply.replica

    def row(self, *, error: str | None, deployment_key: str, cost_usd: float | None) -> ModelCall:
        """The row, once the call has ended."""
        return ModelCall(
            started_at=self.started_at,
            model_id=self.request.model_id,
            block=self.request.block,
            inputs_hash=_hash(self.request),
            prompt_tokens=self._prompt_tokens,
            completion_tokens=self._completion_tokens,
            latency_s=time.perf_counter() - self._begun,
            replica=self._replica,
            attempts=max(1, self._attempts),
            repairs=self.repairs,
            cost_usd=cost_usd,
            error=error,
            flow_run_id=flow_run_id.get(),
            deployment_key=deployment_key,
            request_id=self.request.request_id,
        )


def _hash(request: LMRequest) -> str:
    text = json.dumps([request.model_id, request.messages], separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()
