"""The routes of billing: what pods and workers have cost, in buckets of time. Storage costs nothing here."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from conduit.sim.runpod.api import query
from conduit.sim.runpod.api.state import State
from conduit.sim.runpod.meter import Meter
from conduit.sim.runpod.problems import Problem
from conduit.sim.runpod.texts import moment

_SIZES = ("hour", "day", "week", "month", "year")
_POD = ("totalAmount", "gpuAmount", "cpuAmount", "diskAmount")
_SERVERLESS = (*_POD, "feeAmount")
_ALL = (
    "totalAmount", "podGpuAmount", "podCpuAmount", "podDiskAmount", "serverlessGpuAmount", "serverlessCpuAmount",
    "serverlessDiskAmount", "serverlessFeeAmount", "storageStandardAmount", "storageHighPerformanceAmount",
    "endpointAmount", "clusterGpuAmount", "clusterDiskAmount", "clusterNetworkingAmount",
)  # fmt: skip


@dataclass(frozen=True)
class _Window:
    start: datetime
    end: datetime
    size: str

    def buckets(self, since: float, until: float) -> Iterator[tuple[datetime, datetime]]:
        """Those in which something that lived from ``since`` to ``until`` may have cost money."""
        start = max(self.start, _floor(datetime.fromtimestamp(since, UTC), self.size))
        while start < self.end and start.timestamp() < until:
            end = _next(start, self.size)
            yield start, end
            start = end

    def document(self) -> dict[str, Any]:
        """As it is echoed."""
        return {
            "startTime": moment(self.start.timestamp()),
            "endTime": moment(self.end.timestamp()),
            "bucketSize": self.size,
        }


@dataclass(frozen=True)
class _Bill:
    """What one thing has cost: its id, when it began, its meter, and which amount it goes into."""

    id: str
    since: float
    meter: Meter
    amount: str


async def everything(state: State, request: Request) -> Response:
    """``GET /v2/billing``."""
    window = _window(request)
    sums: dict[str, dict[str, Any]] = {}
    for prefix, bills in (("pod", _pods(state)), ("serverless", _workers(state))):
        for record in _records(bills, window, "id", _POD):
            bucket = sums.setdefault(
                record["startTime"],
                {"startTime": record["startTime"], "endTime": record["endTime"], **dict.fromkeys(_ALL, 0.0)},
            )
            bucket["totalAmount"] += record["totalAmount"]
            bucket[f"{prefix}GpuAmount"] += record["gpuAmount"]
            bucket[f"{prefix}CpuAmount"] += record["cpuAmount"]
    records = [sums[start] for start in sorted(sums)]
    return _answer(records, window.document(), _ALL)


async def pods(state: State, request: Request) -> Response:
    """``GET /v2/billing/pods``."""
    return _by_thing(request, _pods(state), "podId", "uniquePodCount", _POD)


async def serverless(state: State, request: Request) -> Response:
    """``GET /v2/billing/serverless``."""
    return _by_thing(request, _workers(state), "serverlessId", "uniqueServerlessCount", _SERVERLESS)


async def endpoints(_state: State, request: Request) -> Response:
    """``GET /v2/billing/endpoints``: public endpoints, which the simulator has none of."""
    return _answer([], _window(request).document(), ("totalAmount",))


async def volumes(_state: State, request: Request) -> Response:
    """``GET /v2/billing/network-volumes``: storage costs nothing here."""
    amounts = ("totalAmount", "standardAmount", "highPerformanceAmount")
    return _by_thing(request, [], "networkVolumeId", "uniqueNetworkVolumeCount", amounts)


async def clusters(_state: State, request: Request) -> Response:
    """``GET /v2/billing/clusters``: the simulator has none."""
    amounts = ("totalAmount", "gpuAmount", "diskAmount", "networkingAmount")
    return _by_thing(request, [], "clusterId", "uniqueClusterCount", amounts)


def _pods(state: State) -> list[_Bill]:
    return [
        _Bill(pod.id, pod.created_at, pod.meter, "gpuAmount" if "gpu" in pod.asked else "cpuAmount")
        for pod in state.cloud.all()
        if pod.endpoint is None
    ]


def _workers(state: State) -> list[_Bill]:
    return [
        _Bill(pod.endpoint, pod.created_at, pod.meter, "gpuAmount" if "gpu" in pod.asked else "cpuAmount")
        for pod in state.cloud.all()
        if pod.endpoint is not None
    ]


def _by_thing(
    request: Request, bills: list[_Bill], name: str, counted: str, amounts: tuple[str, ...]
) -> Response:
    window, wanted = _window(request), query.text(request, name)
    records = list(_records([b for b in bills if wanted in (None, b.id)], window, name, amounts))
    echo = window.document() | ({} if wanted is None else {name: wanted})
    return _answer(records, echo, amounts, {counted: len({record[name] for record in records})})


def _records(
    bills: list[_Bill], window: _Window, name: str, amounts: tuple[str, ...]
) -> Iterator[dict[str, Any]]:
    """One for each thing and bucket in which it cost something."""
    now = time.time()
    kept: dict[tuple[datetime, str], dict[str, Any]] = {}
    for bill in bills:
        for start, end in window.buckets(bill.since, now):
            usd = bill.meter.usd(start.timestamp(), min(end.timestamp(), now))
            if usd > 0:
                record = kept.setdefault(
                    (start, bill.id),
                    {
                        "startTime": moment(start.timestamp()),
                        "endTime": moment(end.timestamp()),
                        name: bill.id,
                        **dict.fromkeys(amounts, 0.0),
                    },
                )
                record["totalAmount"] += usd
                record[bill.amount] += usd
    yield from (kept[key] for key in sorted(kept))


def _answer(
    records: list[dict[str, Any]],
    echo: Mapping[str, Any],
    amounts: tuple[str, ...],
    counts: Mapping[str, int] | None = None,
) -> Response:
    totals = {amount: sum(record[amount] for record in records) for amount in amounts}
    metadata = {"query": echo, "recordCount": len(records), "totals": totals, **(counts or {})}
    return JSONResponse({"records": records, "metadata": metadata})


def _window(request: Request) -> _Window:
    size = query.text(request, "bucketSize", _SIZES) or "day"
    last = query.whole(request, "lastN", 1)
    given = {
        name: query.moment(request.query_params[name], name)
        for name in ("startTime", "endTime")
        if name in request.query_params
    }
    if last is not None and given:
        raise Problem(400, "lastN and startTime/endTime exclude each other")
    now = datetime.now(UTC)
    try:
        if last is not None:
            end = _next(_floor(now, size), size)
            return _Window(_floor(now - timedelta(days=_days(size) * (last - 1)), size), end, size)
        end = given.get("endTime", now)
        start = _floor(given.get("startTime", min(end, now) - timedelta(days=30)), size)
        floor = _floor(end, size)
        window = _Window(start, end if end == floor else _next(floor, size), size)
        window.document()
    except (OverflowError, ValueError) as error:
        raise Problem(400, "the billing period is out of range") from error
    if window.start >= window.end:
        raise Problem(400, "startTime must lie before endTime")
    return window


def _days(size: str) -> float:
    return {"hour": 1 / 24, "day": 1, "week": 7, "month": 30.4375, "year": 365.25}[size]


def _floor(at: datetime, size: str) -> datetime:
    if size == "hour":
        return at.replace(minute=0, second=0, microsecond=0)
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    if size == "week":
        return day - timedelta(days=day.weekday())
    if size == "month":
        return day.replace(day=1)
    return day.replace(month=1, day=1) if size == "year" else day


def _next(start: datetime, size: str) -> datetime:
    if size == "month":
        return (start + timedelta(days=31)).replace(day=1)
    if size == "year":
        return start.replace(year=start.year + 1)
    return start + {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}[size]
