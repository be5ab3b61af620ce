"""Whose turn it is among the replicas that can take a request: three policies of equal shape. Pure.

``round_robin`` is even where requests are alike. ``least_tokens`` is for requests of very different lengths.
``prefix`` keeps requests that begin alike together, so that the beginning is computed once and not once a replica.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

PolicyName = Literal["round_robin", "least_tokens", "prefix"]

_MOST_PREFIXES = 4096
_SLACK = 1.25  # of the even share, above which a replica counts as overloaded for a prefix
_ALWAYS_TAKEN = 4  # requests at a time that overload no replica


@dataclass(frozen=True, slots=True)
class Routable:
    """What of a request decides where it goes.

    Attributes:
        model_id: Which model.
        prefix: The static beginning of the prompt; empty for none.
        tokens: Rough weight: of the prompt and the answer.
    """

    model_id: str
    prefix: bytes = b""
    tokens: int = 256


@dataclass(slots=True)
class Load:
    """One replica as a policy sees it: its name, its place in the round, and what it has to do."""

    node_id: str
    place: int
    requests: int = 0
    tokens: int = 0


class Policy(Protocol):
    """Chooses among replicas."""

    def choose(self, loads: Sequence[Load], what: Routable, /) -> Load:
        """One of ``loads``, which are in the order of their places and never empty."""
        ...

    def forget(self, node_id: str) -> None:
        """That replica is gone for good."""
        ...


class RoundRobin:
    """Each in its turn."""

    def __init__(self) -> None:
        self._next = 0

    def choose(self, loads: Sequence[Load], _what: Routable, /) -> Load:
        """The first at or behind the place whose turn it is."""
        chosen = next((load for load in loads if load.place >= self._next), loads[0])
        self._next = chosen.place + 1
        return chosen

    def forget(self, node_id: str) -> None:
        """Nothing is kept of it."""


class LeastTokens:
    """Where the fewest tokens are outstanding; in turn among equals."""

    def __init__(self) -> None:
        self._turns = RoundRobin()

    def choose(self, loads: Sequence[Load], what: Routable, /) -> Load:
        """The least loaded."""
        least = min(load.tokens for load in loads)
        return self._turns.choose([load for load in loads if load.tokens == least], what)

    def forget(self, node_id: str) -> None:
        """Nothing is kept of it."""


class PrefixAware:
    """The same beginning of the same model to the same replica, unless that is overloaded.

    A beginning's home is the first replica in its rendezvous order (Thaler and Ravishankar, 1998) that does not
    already house more than its share of beginnings; it is remembered, so that others coming and going move none.
    An overloaded home (Mirrokni et al., consistent hashing with bounded loads, 2016) is passed over for the next in
    the order, for that request only.
    """

    def __init__(self) -> None:
        self._homes: OrderedDict[bytes, str] = OrderedDict()
        self._housed: Counter[str] = Counter()
        self._others = LeastTokens()

    def choose(self, loads: Sequence[Load], what: Routable, /) -> Load:
        """Its home, or the next that is not overloaded."""
        if not what.prefix or len(loads) == 1:
            return self._others.choose(loads, what)
        key = hashlib.blake2b(what.model_id.encode() + b"\0" + what.prefix, digest_size=16).digest()
        order = sorted(loads, key=lambda load: _rank(key, load.node_id))
        home = self._home(key, order)
        order.sort(key=lambda load: load.node_id != home)  # stable: the home first, the others as they were
        most = max(_ALWAYS_TAKEN, math.ceil(_SLACK * (sum(load.requests for load in loads) + 1) / len(loads)))
        return next((load for load in order if load.requests < most), order[0])

    def forget(self, node_id: str) -> None:
        """Its beginnings find a new home when they come again."""
        del self._housed[node_id]
        for key in [key for key, home in self._homes.items() if home == node_id]:
            del self._homes[key]

    def _home(self, key: bytes, order: Sequence[Load]) -> str:
        home = self._homes.get(key)
        if home is None:
            share = len(self._homes) // len(order)
            home = next(
                (load.node_id for load in order if self._housed[load.node_id] <= share), order[0].node_id
            )
            self._homes[key] = home
            self._housed[home] += 1
            if len(self._homes) > _MOST_PREFIXES:
                self._housed[self._homes.popitem(last=False)[1]] -= 1
        self._homes.move_to_end(key)
        return home


def _rank(key: bytes, node_id: str) -> bytes:
    return hashlib.blake2b(node_id.encode(), key=key, digest_size=8).digest()


_POLICIES: dict[PolicyName, type[RoundRobin | LeastTokens | PrefixAware]] = {
    "round_robin": RoundRobin,
    "least_tokens": LeastTokens,
    "prefix": PrefixAware,
}


def policy(name: PolicyName) -> Policy:
    """A new policy of that name."""
    return _POLICIES[name]()
