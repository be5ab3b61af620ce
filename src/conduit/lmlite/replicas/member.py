"""One replica of a pool: where it is, how it is, what it has to do, and the leases on it. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from pydantic import SecretStr

from conduit.lmlite.replicas.breaker import Breaker
from conduit.lmlite.replicas.policies import Load, Routable
from conduit.lmlite.replicas.states import Vitals

_SLOW_START_S = 5.0
_FIRST_SHARE = 0.1

Outcome = Literal["answered", "turned_away", "broke", "refused", "left"]
"""How a request ended: with an answer; with an error status; its connection broke; none could be made; its caller
gave it up."""


@dataclass(frozen=True)
class Replica:
    """One running server.

    Attributes:
        node_id: Its node.
        url: Base URL without ``/v1``.
        token: Its bearer token.
        log: Path of its log, for messages.
        certificate: The one certificate to trust, in PEM; ``None`` for plain HTTP or the usual trust.
        usd_per_hour: Price of its node.
        elastic: An endpoint that starts machines when it is asked: to ask how it is would start one.
    """

    node_id: str
    url: str
    token: SecretStr
    log: str | None = None
    certificate: str | None = None
    usd_per_hour: float = field(default=0.0, compare=False)
    elastic: bool = False


@dataclass(eq=False)
class Member:
    """A replica and all that is known of it."""

    replica: Replica
    load: Load
    vitals: Vitals
    ended: Callable[[Lease, Outcome], None]
    breaker: Breaker = field(default_factory=Breaker)
    leases: set[Lease] = field(default_factory=set)
    used_at: float = 0.0
    died_at: float = 0.0  # of a dead one
    recovered_at: float | None = None  # its share still grows
    credit: float = 0.0
    shared_s: float = 0.0  # time in which it had requests, each moment divided by their number
    _shared_until: float = 0.0

    def take(self, lease: Lease, now: float) -> None:
        """A request goes to it."""
        self._share(now)
        lease.began_at_s = self.shared_s
        self.leases.add(lease)
        self.credit = max(0.0, self.credit - 1)
        self.load.requests += 1
        self.load.tokens += lease.what.tokens
        self.vitals.began(lease.what.model_id, now)
        self.breaker.sent(now)
        self.used_at = now

    def give_back(self, lease: Lease, outcome: Outcome, now: float) -> bool:
        """A request has ended; tells load and breaker, and returns whether the replica is back by it."""
        self._share(now)
        lease.cost_usd = (self.shared_s - lease.began_at_s) * self.replica.usd_per_hour / 3600
        self.leases.discard(lease)
        self.load.requests -= 1
        self.load.tokens -= lease.what.tokens
        self.used_at = now
        if outcome in ("broke", "refused"):
            self.breaker.failed(now)
        elif outcome == "left":
            self.breaker.left()
        elif self.breaker.answered():
            self.recovered_at = now
            return True
        return False

    def _share(self, now: float) -> None:
        """Brings the shared time up to now: so what all requests cost adds up to the time that any was there."""
        if self.leases:
            self.shared_s += (now - self._shared_until) / len(self.leases)
        self._shared_until = now

    def may_take(self, model_id: str, now: float) -> bool:
        """Whether its state and its breaker let a request pass."""
        return self.vitals.state(model_id).takes_requests and self.breaker.lets_pass(now)

    def held_back(self, now: float, among: int) -> bool:
        """Whether it is too early for its next request, while its share grows after a recovery."""
        if self.recovered_at is None:
            return False
        share = max(_FIRST_SHARE, (now - self.recovered_at) / _SLOW_START_S)
        if share >= 1:
            self.recovered_at = None
            return False
        self.credit = min(1.0, self.credit + share / among)
        return self.credit < 1


class Scope(Protocol):
    """Work that can be ended from outside."""

    def cancel(self) -> object:
        """Ends it."""
        ...


class Lease:
    """The right to send one request to a replica.

    Attributes:
        member: The replica and what is known of it.
        what: The request.
        scope: Cancelled when the replica turns dead, so that the request can go elsewhere; set by the sender.
        began_at_s: The replica's shared time when the request began.
        cost_usd: Its share of the node's price; known once it has ended.
    """

    __slots__ = ("began_at_s", "cost_usd", "member", "scope", "what")

    def __init__(self, member: Member, what: Routable) -> None:
        self.member, self.what = member, what
        self.scope: Scope | None = None
        self.began_at_s = 0.0
        self.cost_usd = 0.0

    @property
    def replica(self) -> Replica:
        """Where to send it."""
        return self.member.replica

    def end(self, outcome: Outcome) -> None:
        """Gives the lease back; a second time does nothing."""
        if self in self.member.leases:
            self.member.ended(self, outcome)
