"""The planner against what engines printed: bytes of weights, bytes of one token's keys and values, tokens of room.

The figures are of public logs, each with its source beside it in ``_engine_logs.json``. A log's room is compared
where it tells the GPU's memory: promising more than there is would end in an engine that refuses to start, or in
requests that wait; promising less only costs money.
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Any

from _report import report

from conduit.planner import Estimate, ModelSpec, catalog, estimate

WEIGHTS_MEDIAN = 0.02
WEIGHTS_WORST = 0.10
TOKEN_WORST = 0.015
OVER_PROMISED = 0.02
GIB = 2**30


def main() -> None:
    known = json.loads(Path(__file__).with_name("_engine_logs.json").read_text(encoding="utf-8"))
    weights: list[float] = []
    tokens: list[float] = []
    room: list[float] = []
    print("engine   model                                              tp  weights    token     room  source")
    for log in known["logs"]:
        spec = _spec(log["model"], known["models"])
        found = _estimate(spec, log)
        errors = {
            "weights": _weights_error(found, log),
            "token": _token_error(found, log),
            "room": _room_error(found, log),
        }
        for kind, errors_of_kind in (("weights", weights), ("token", tokens), ("room", room)):
            if (error := errors[kind]) is not None:
                errors_of_kind.append(error)
        shown = "  ".join("      -" if e is None else f"{e:+7.2%}" for e in errors.values())
        print(f"{log['engine']:7}  {log['model']:49}  {log.get('tp', 1):2}  {shown}  {log['url']}")
    over = max(room)
    ok = (
        max(map(abs, weights)) <= WEIGHTS_WORST
        and max(map(abs, tokens)) <= TOKEN_WORST
        and over <= OVER_PROMISED
    )
    report(
        "planner_accuracy",
        median(map(abs, weights)),
        WEIGHTS_MEDIAN,
        "lower",
        ok=ok,
        logs=len(known["logs"]),
        weights=len(weights),
        weights_worst=round(max(map(abs, weights)), 4),
        token=len(tokens),
        token_median=round(median(map(abs, tokens)), 5),
        token_worst=round(max(map(abs, tokens)), 4),
        room=len(room),
        room_median=round(median(room), 4),
        over_promised=round(max(0.0, over), 4),
    )


def _spec(model: str, others: dict[str, Any]) -> ModelSpec:
    listed = catalog.facts(model)
    if listed is not None:
        return listed
    return ModelSpec.from_config(others[model]["config"], others[model]["checkpoint_bytes"])


def _estimate(spec: ModelSpec, log: dict[str, Any]) -> Estimate:
    return estimate(
        spec,
        engine=log["engine"],
        gpu_memory_gib=log.get("gpu_memory_gib"),
        tp=log.get("tp", 1),
        mem_fraction=log.get("mem_fraction"),
        context_len=log.get("context_len"),
    )


def _weights_error(found: Estimate, log: dict[str, Any]) -> float | None:
    if "weights_gib" not in log:
        return None
    return found.weights_gib / log.get("pp", 1) / log["weights_gib"] - 1


def _token_error(found: Estimate, log: dict[str, Any]) -> float | None:
    if "kv_gib" not in log or "kv_tokens" not in log:
        return None
    return found.kv_bytes_per_token / (log["kv_gib"] * GIB / log["kv_tokens"]) - 1


def _room_error(found: Estimate, log: dict[str, Any]) -> float | None:
    if found.kv_tokens is None or not log.keys() & {"kv_gib", "kv_tokens"}:
        return None
    there = log.get("kv_tokens") or log["kv_gib"] * GIB / found.kv_bytes_per_token
    return found.kv_tokens / there - 1


if __name__ == "__main__":
    main()
