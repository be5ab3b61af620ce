"""What goes wrong on purpose: faults that wait for the next requests or pods that they fit, and are used up.

A fault is written ``AT=KIND[:TIMES][,key=value…]``, as ``create=hang:1`` or ``pod=dies:2,seconds=5``. ``AT`` is an
operation of the API (``create``, ``list``, ``get``, ``delete``, …), ``*`` for all of them, ``proxy``, or ``pod``
for what befalls a pod that is created. Without a number of times it stays.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from conduit.errors import ArgumentInvalid

STATUSES = ("400", "401", "402", "403", "404", "409", "422", "429", "500", "502", "503", "504")
ANSWERS = ("no-capacity", *STATUSES, "html", "garbage", "cut", "slow", "stall")
# The request is carried out first, and only its answer is lost or spoilt.
AFTER = ("hang", "500-after", "502-after", "html-after", "garbage-after", "cut-after")
LIVES = ("invisible", "never-ready", "never-serves", "undead", "dies", "restarts")
OPERATIONS = (
    "*", "create", "list", "get", "update", "delete", "action", "logs", "catalog", "billing", "account", "volumes",
    "templates", "registries", "endpoint-create", "endpoint-list", "endpoint-get", "endpoint-update",
    "endpoint-delete", "endpoint-workers",
)  # fmt: skip
POD, PROXY = "pod", "proxy"
AT_PROXY = ("cut", "slow", "html", *STATUSES)


class Fault(BaseModel):
    """One fault.

    Attributes:
        at: Where it waits.
        kind: What happens.
        times: How often; None for always.
        gpu: Only for pods of that GPU type.
        name: Only for pods whose name begins so.
        seconds: How long, or after how long, by kind: how long ``slow`` waits, after how long a ``hang`` answers
            after all (never when None), how long a pod is ``invisible`` or ``undead``, after how long it
            ``dies`` or ``restarts``.
        deletes: An ``undead`` pod ends at this DELETE, when it has not ended before.
        where: Where an ``invisible`` pod is missing.
        retry_after: Seconds, of a 429.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: str
    kind: str
    times: Annotated[int, Field(ge=1)] | None = None
    gpu: str | None = None
    name: str | None = None
    seconds: Annotated[float, Field(ge=0)] | None = None
    deletes: Annotated[int, Field(ge=2)] | None = None
    where: Literal["list", "get", "both"] = "both"
    retry_after: Annotated[int, Field(ge=0)] = 1

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        places = (*OPERATIONS, POD, PROXY)
        if self.at not in places:
            raise ValueError(f"there is no place {self.at!r}: {', '.join(places)}")
        kinds = {POD: LIVES, PROXY: AT_PROXY}.get(self.at, (*ANSWERS, *AFTER))
        if self.kind not in kinds:
            raise ValueError(f"there is no fault {self.kind!r} at {self.at}: {', '.join(kinds)}")
        return self

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Reads the written form.

        Raises:
            ArgumentInvalid: It is none.
        """
        head, *pairs = text.split(",")
        at, _, what = head.partition("=")
        kind, _, times = what.partition(":")
        fields: dict[str, Any] = dict(pair.strip().partition("=")[::2] for pair in pairs)
        try:
            return cls(at=at.strip(), kind=kind.strip(), times=int(times) if times else None, **fields)
        except (ValidationError, ValueError, TypeError) as error:
            said = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            raise ArgumentInvalid(
                f"{text!r} is no fault: {said}.",
                hint="Write AT=KIND[:TIMES][,key=value…], for example create=hang:1 or pod=dies:1,seconds=5.",
                argument="fault",
            ) from error

    def fits(self, at: str, gpu: str | None, name: str | None) -> bool:
        """Whether that is what it waits for."""
        return (
            (self.at == at or (self.at == "*" and at not in (POD, PROXY)))
            and (self.gpu is None or self.gpu == gpu)
            and (self.name is None or (name or "").startswith(self.name))
        )


class Faults:
    """Those that wait, oldest first."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._waiting = list(faults)
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """Lets one more wait."""
        with self._lock:
            self._waiting.append(fault)

    def clear(self) -> None:
        """Forgets all that wait; what befalls a pod already goes on."""
        with self._lock:
            self._waiting.clear()

    def waiting(self) -> list[Fault]:
        """Those that wait still."""
        with self._lock:
            return list(self._waiting)

    def take(self, at: str, *, gpu: str | None = None, name: str | None = None) -> Fault | None:
        """Uses up one time of the first that fits."""
        with self._lock:
            for place, fault in enumerate(self._waiting):
                if fault.fits(at, gpu, name):
                    self._use(place, fault)
                    return fault
        return None

    def _use(self, place: int, fault: Fault) -> None:
        if fault.times == 1:
            del self._waiting[place]
        elif fault.times is not None:
            self._waiting[place] = fault.model_copy(update={"times": fault.times - 1})
