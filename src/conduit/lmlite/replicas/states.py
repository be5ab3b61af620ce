"""How one replica is, for each of its models, from what was seen of it. Pure: the caller brings the clock.

What counts as seen: its answers to ``/ready`` and their absence, bytes of answers, and canaries (requests of one
token). What a client did wrong is never seen here: a refused request says nothing about the health of a replica.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class ReplicaState(StrEnum):
    """What to do with a replica, or with one of its models."""

    STARTING = "starting"  # no traffic yet
    READY = "ready"
    BUSY = "busy"  # it works and does not get round to answering in time: traffic, and no replacement
    DRAINING = "draining"  # it finishes what runs: no traffic
    DEAD = "dead"  # no traffic, what runs there is taken away, and it is replaced

    @property
    def takes_requests(self) -> bool:
        """Whether to send anything."""
        return self in (ReplicaState.READY, ReplicaState.BUSY)


_BEST_FIRST = (ReplicaState.READY, ReplicaState.BUSY, ReplicaState.STARTING, ReplicaState.DEAD)


@dataclass(frozen=True)
class Limits:
    """When a replica that does not show life counts as dead.

    Attributes:
        silent_s: Without an answer to two questions in a row and without any byte.
        stall_s: With requests on it, without a byte or progress: then a canary is sent. Longer than a server takes
            to find and replace a dead engine by itself.
        canary_s: How long the canary may take.
    """

    silent_s: float = 4.0
    stall_s: float = 150.0
    canary_s: float = 20.0


class _Death(StrEnum):
    """Why a replica counts as dead, which decides what proves the contrary."""

    GONE = "nothing takes connections at its address"
    SILENT = "it answers no question and sends nothing"
    STALLED = "it makes no progress and did not answer a request of one token"


@dataclass
class _Model:
    """What is known of one model."""

    said: str = ReplicaState.STARTING  # its server's word
    progress: int = 0
    outstanding: int = 0
    quiet_since: float = 0.0
    suspected: bool = False  # a canary was sent, and no sign of work came since
    canary_sent_at: float | None = None


class Vitals:
    """One replica. ``now`` is in monotonic seconds and never goes back."""

    def __init__(self, now: float, *, ready: bool = False, limits: Limits | None = None) -> None:
        """Begins with what is known already.

        Args:
            now: The time.
            ready: Its server has said so.
            limits: When it counts as dead.
        """
        self._limits = limits or Limits()
        self._models: dict[str, _Model] = {}
        self._unlisted = ReplicaState.READY if ready else ReplicaState.STARTING
        self._draining = False
        self._death: _Death | None = None
        self._unanswered = 0
        self._life_at = now

    @property
    def reason(self) -> str | None:
        """Why it is dead; ``None`` when it is not."""
        return None if self._death is None else self._death.value

    @property
    def models(self) -> tuple[str, ...]:
        """The models that its server has named or that were asked for."""
        return tuple(self._models)

    def state(self, model_id: str | None = None) -> ReplicaState:
        """Of one model, or of the whole replica: the best of its models', since it serves what it can."""
        if self._death is not None:
            return ReplicaState.DEAD
        if self._draining:
            return ReplicaState.DRAINING
        if model_id is None:
            found = set()
            for name in self._models:
                if (state := self.state(name)) is ReplicaState.READY:
                    return state  # the best there is, and the usual case
                found.add(state)
            return next((state for state in _BEST_FIRST if state in found), self._unlisted)
        model = self._models.get(model_id)
        said = self._unlisted if model is None else model.said
        if said == "failed":
            return ReplicaState.DEAD
        if said not in (ReplicaState.READY, ReplicaState.BUSY):
            return ReplicaState.STARTING
        late = self._unanswered > 0 or (model is not None and model.suspected)
        return ReplicaState.BUSY if late or said == ReplicaState.BUSY else ReplicaState.READY

    def reported(
        self, states: Mapping[str, str], progress: Mapping[str, int], now: float, *, draining: bool = False
    ) -> None:
        """It answered ``/ready`` with its models' states and progress."""
        self._answers(now)
        self._draining = draining
        for name, said in states.items():
            model = self._model(name, now)
            model.said = said
            if (grown := progress.get(name, 0)) != model.progress:  # a new engine counts from zero again
                model.progress = grown
                self._works(model, now)
            elif said == ReplicaState.STARTING:
                self._works(model, now)  # its server replaces the engine: no case for this side
        takes = any(said in (ReplicaState.READY, ReplicaState.BUSY) for said in states.values())
        self._unlisted = ReplicaState.READY if takes else ReplicaState.STARTING

    def unreadable(self, now: float) -> None:
        """Something answered that is not, or not yet, a server of models."""
        self._answers(now)
        self._unlisted = ReplicaState.STARTING
        for model in self._models.values():
            model.said = ReplicaState.STARTING

    def refused(self) -> None:
        """Nothing takes connections there."""
        self._death = _Death.GONE

    def unanswered(self, now: float) -> None:
        """A question to ``/ready`` got no answer in time."""
        self._unanswered += 1
        if self._unanswered > 1 and now - self._life_at >= self._limits.silent_s:
            self._death = self._death or _Death.SILENT

    def alive(self, now: float) -> None:
        """It answered a request, be it with a refusal."""
        self._answers(now)

    def sign(self, now: float, model_id: str | None = None) -> None:
        """Bytes of an answer came, of that model or of an unknown one."""
        self._life_at = now
        self._unanswered = 0
        if self._death is _Death.SILENT:
            self._death = None
        for name, model in self._models.items():
            if model_id is None or name == model_id:
                self._works(model, now)

    def began(self, model_id: str, now: float) -> None:
        """A request was sent to it."""
        model = self._model(model_id, now)
        if model.outstanding == 0:
            model.quiet_since = now
        model.outstanding += 1

    def ended(self, model_id: str, now: float) -> None:
        """A request is no longer there, whatever became of it."""
        model = self._model(model_id, now)
        model.outstanding -= 1
        if model.outstanding == 0:
            model.quiet_since, model.suspected = now, False

    def stalled(self, now: float) -> list[str]:
        """The models that have work, show none, and need a canary now."""
        if self._death is not None:
            return []
        return [
            name
            for name, model in self._models.items()
            if model.outstanding > 0
            and model.canary_sent_at is None
            and now - model.quiet_since >= self._limits.stall_s
        ]

    def canary_sent(self, model_id: str, now: float) -> None:
        """A request of one token is on its way."""
        model = self._model(model_id, now)
        model.suspected, model.canary_sent_at = True, now

    def canary_answered(self, model_id: str, now: float) -> None:
        """It was answered, be it with a refusal: the replica is busy, and may be asked again after a while."""
        model = self._model(model_id, now)
        model.canary_sent_at, model.quiet_since = None, now

    def canary_unanswered(self, model_id: str, now: float) -> None:
        """It was not answered in time; the replica is dead unless it has shown work meanwhile."""
        model = self._model(model_id, now)
        if (
            model.canary_sent_at is not None
            and model.quiet_since < model.canary_sent_at
            and model.outstanding
        ):
            self._death = self._death or _Death.STALLED
        model.canary_sent_at = None

    def _model(self, name: str, now: float) -> _Model:
        model = self._models.get(name)
        if model is None:
            model = self._models[name] = _Model(said=self._unlisted, quiet_since=now)
        return model

    def _answers(self, now: float) -> None:
        self._unanswered, self._life_at = 0, now
        if self._death is not _Death.STALLED:  # such a one answers, and does nothing else
            self._death = None

    def _works(self, model: _Model, now: float) -> None:
        model.quiet_since, model.suspected = now, False
        if self._death is _Death.STALLED:
            self._death = None
