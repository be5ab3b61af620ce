"""What ``@block(...)`` and ``with_options`` take: plain values, checked once when they are given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypedDict

from conduit.errors import BlockDefinitionError

RetryOn = type[BaseException] | Sequence[type[BaseException]] | Callable[[BaseException], bool]
"""Which errors are worth another attempt: a class of them, several classes, or a function that tells."""


class OptionValues(TypedDict, total=False):
    """The options by name, each of them optional.

    ``name`` names the block's Prefect tasks, ``tags`` are theirs. ``retries`` counts the attempts
    after the first; the delay before them is ``retry_delay_s``, a number or one number a retry. ``retry_on`` says
    after which errors, in place of Conduit's own choice: those that another attempt may not meet. ``timeout_s``
    limits one attempt. With ``cache`` results are kept, and a call with equal arguments is answered from there; for
    ``cache_ttl_s`` seconds, where that is given. ``version`` names the block's own version in caches and ledgers,
    in place of a hash of its source.
    """

    name: str
    description: str
    tags: Iterable[str]
    retries: int
    retry_delay_s: float | Sequence[float]
    retry_on: RetryOn | None
    timeout_s: float | None
    version: str | None
    cache: bool
    cache_ttl_s: float | None


@dataclass(frozen=True)
class Options:
    """Options of a block after their check."""

    name: str
    description: str = ""
    tags: tuple[str, ...] = ()
    retries: int = 0
    retry_delay_s: float | tuple[float, ...] = 0.0
    retry_on: tuple[type[BaseException], ...] | Callable[[BaseException], bool] | None = None
    timeout_s: float | None = None
    version: str | None = None
    cache: bool = False
    cache_ttl_s: float | None = None

    def merged(self, values: OptionValues) -> Options:
        """These options with some replaced.

        Raises:
            BlockDefinitionError: An option is unknown or its value makes no sense.
        """
        changes: dict[str, Any] = dict(values)
        known = [f.name for f in fields(self)]
        for option in changes:
            if option not in known:
                raise BlockDefinitionError(
                    f"Block {self.name!r} has no option {option!r}.",
                    hint=f"The options are {', '.join(known)}.",
                    block=self.name,
                )
        if "tags" in changes:
            tags = changes["tags"]
            if isinstance(tags, str):
                raise self._refused("tags", tags, 'several texts, as in tags=["nightly"]')
            changes["tags"] = tuple(dict.fromkeys(tags))
            if not all(isinstance(tag, str) for tag in changes["tags"]):
                raise self._refused("tags", tags, "texts")
        if not isinstance(changes.get("retries", 0), int) or changes.get("retries", 0) < 0:
            raise self._refused("retries", changes["retries"], "a whole number from 0")
        if isinstance(delay := changes.get("retry_delay_s"), Sequence):
            changes["retry_delay_s"] = tuple(delay)
        delays = changes.get("retry_delay_s", 0.0)
        for delay in delays if isinstance(delays, tuple) else (delays,):
            if not isinstance(delay, int | float) or delay < 0:
                raise self._refused("retry_delay_s", delays, "seconds from 0, or one number a retry")
        if delays == ():
            raise self._refused("retry_delay_s", delays, "seconds from 0, or one number a retry")
        if (retry_on := changes.get("retry_on")) is not None:
            changes["retry_on"] = self._retry_on(retry_on)
        timeout = changes.get("timeout_s")
        if timeout is not None and (not isinstance(timeout, int | float) or timeout <= 0):
            raise self._refused("timeout_s", timeout, "seconds above 0, or None")
        if not isinstance(changes.get("cache", False), bool):
            raise self._refused("cache", changes["cache"], "True or False")
        ttl = changes.get("cache_ttl_s")
        if ttl is not None and (not isinstance(ttl, int | float) or isinstance(ttl, bool) or ttl <= 0):
            raise self._refused("cache_ttl_s", ttl, "seconds above 0, or None")
        version = changes.get("version")
        if version is not None and (not isinstance(version, str) or not version):
            raise self._refused("version", version, 'a text, as in version="2", or None')
        if not isinstance(changes.get("name", self.name), str) or not changes.get("name", self.name):
            raise self._refused("name", changes["name"], "a text that is not empty")
        return replace(self, **changes)

    def delay_before(self, retry: int) -> float:
        """Seconds to wait before a retry, the first being number 1; the last delay given holds for the rest."""
        if isinstance(self.retry_delay_s, tuple):
            return self.retry_delay_s[min(retry, len(self.retry_delay_s)) - 1]
        return self.retry_delay_s

    def _retry_on(self, given: Any) -> Any:
        classes = tuple(given) if isinstance(given, Sequence) else (given,)
        if classes and all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in classes):
            return classes
        if callable(given) and not isinstance(given, type):
            return given
        raise self._refused(
            "retry_on", given, "classes of errors, or a function of an error that returns a bool"
        )

    def _refused(self, option: str, value: object, expected: str) -> BlockDefinitionError:
        return BlockDefinitionError(
            f"Block {self.name!r} got {option}={value!r}.",
            hint=f"{option} takes {expected}.",
            block=self.name,
        )
