"""How well `conduit/tiny` reads messages, through the whole of LMLite, beside simple methods.

    python models/tiny/evaluate.py [--json] [--model FOLDER]

Two test sets, frozen by hash before training: messages written by hand by someone who had not seen the training
data, and messages from templates that were never trained on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console
from rich.table import Table

from conduit import ComputeProvider, ConduitError, LMLite, ModelConfig
from tiny.baselines import FIELDS, Row, baselines
from tiny.data import Ticket, read_ticket

FROZEN = Path(__file__).parent / "frozen"
WEIGHTS = Path(__file__).resolve().parents[2] / "src/conduit/lmlite/tiny"
BARS = {
    "handwritten": {"all_fields": 0.80, "order_id": 0.85, "under_baseline": 0.05},
    "unseen": {"all_fields": 0.90, "order_id": 0.98},
}
MEBIBYTES_ALLOWED = 8.0


def rows_of(name: str) -> list[Row]:
    """A frozen test set; refuses one that is not the frozen one."""
    content = (FROZEN / f"{name}.jsonl").read_bytes()
    sums = dict(reversed(line.split()) for line in (FROZEN / "SHA256SUMS").read_text().splitlines())
    if hashlib.sha256(content).hexdigest() != sums[f"{name}.jsonl"]:
        raise SystemExit(f"{name}.jsonl is not the frozen test set")
    return [json.loads(line) for line in content.decode().splitlines()]


def answers(model: str, rows: list[Row]) -> list[Ticket | ConduitError]:
    """The model's records, or the errors that came instead."""
    config = ModelConfig(model, max_model_len=1024, max_model_concurrency=16)
    with LMLite(config, ComputeProvider.LOCAL, idle_timeout=60) as lm:
        found = lm.block(read_ticket).map([row["message"] for row in rows], errors="collect")
        lm.delete()
    return found


def scores(rows: list[Row], found: list[Any]) -> dict[str, float]:
    """Share right by field, of all fields, of whole records, and of answers that are records at all."""
    pairs = list(zip(rows, found, strict=True))
    right = {
        field: [isinstance(value, Ticket) and getattr(value, field) == row[field] for row, value in pairs]
        for field in FIELDS
    }
    shares = {field: sum(marks) / len(rows) for field, marks in right.items()}
    whole = sum(all(marks) for marks in zip(*right.values(), strict=True)) / len(rows)
    valid = sum(isinstance(value, Ticket) for value in found) / len(rows)
    return shares | {"all_fields": sum(shares.values()) / len(FIELDS), "whole_records": whole, "valid": valid}


def report(model: str) -> dict[str, Any]:
    """All figures and whether each bar is met."""
    size = sum(path.stat().st_size for path in WEIGHTS.iterdir() if path.is_file()) / 2**20
    result: dict[str, Any] = {"model": model, "mebibytes": round(size, 2), "sets": {}, "missed": []}
    for name, bars in BARS.items():
        rows = rows_of(name)
        found = scores(rows, answers(model, rows))
        simple = baselines(rows)
        result["sets"][name] = {"messages": len(rows), "model": found, "baselines": simple}
        missed = [key for key, bar in bars.items() if key in found and found[key] < bar]
        if "under_baseline" in bars:
            best = {field: max(simple[field].values()) for field in FIELDS}
            missed += [
                f"{f} under its baseline" for f in FIELDS if found[f] < best[f] - bars["under_baseline"]
            ]
        missed += ["valid"] if found["valid"] < 1 else []
        result["missed"] += [f"{name}: {what}" for what in missed]
    result["missed"] += ["size"] if size > MEBIBYTES_ALLOWED else []
    result["ok"] = not result["missed"]
    return result


def table(result: dict[str, Any]) -> Table:
    """The figures as a person reads them."""
    shown = Table(title=f"{result['model']}, {result['mebibytes']} MiB", caption="Share right, in per cent")
    for column in ("", *FIELDS, "all fields", "whole records", "valid"):
        shown.add_column(column, justify="right" if column else "left")
    for name, part in result["sets"].items():
        values = [part["model"][key] for key in (*FIELDS, "all_fields", "whole_records", "valid")]
        shown.add_row(f"{name} ({part['messages']})", *(f"{100 * value:.1f}" for value in values))
        for method in ("regex", "majority", "bag of words"):
            cells = [part["baselines"][field].get(method) for field in FIELDS]
            shown.add_row(f"  {method}", *("" if cell is None else f"{100 * cell:.1f}" for cell in cells))
    return shown


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--model", default="conduit/tiny")
    chosen = arguments.parse_args()
    result = report(chosen.model)
    if chosen.json:
        print(json.dumps(result))
    else:
        Console().print(table(result))
        print("All bars are met." if result["ok"] else f"Missed: {', '.join(result['missed'])}")
    sys.exit(not result["ok"])


if __name__ == "__main__":
    main()
