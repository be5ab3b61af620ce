"""Reading what models write: Conduit's parser against those of its neighbours, in rightness and in time.

The rows are Conduit's own corpus and, where there is one, a data folder with BAML's cases and more defects. A value
is right when it equals the expected one, an absent field being a null one; ``wrong`` counts values that fit their
type and are not what was written.
"""

# ruff: noqa: E402 -- the peers can be imported once the script runs in their environment

from __future__ import annotations

import argparse
import contextlib
import io
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _peers import ROOT, in_peer_environment
from _report import report

in_peer_environment()

import json_repair
from _parsers import PARSERS, Parser
from _rows import Row, data_rows, own_rows
from _subjects import SUBJECTS
from pydantic import TypeAdapter

from conduit import mdl

_DATA = ROOT.parent / "shared" / "data" / "parse"
_ROUNDS = 7


@dataclass(frozen=True)
class Score:
    """How one parser did on one set of rows."""

    right: int
    readable: int
    refused: int
    unreadable: int
    wrong: int

    @property
    def share(self) -> float:
        return self.right / self.readable


def score(parser: Parser, rows: Sequence[Row], on_miss: Callable[[Row, Any], None]) -> Score:
    right = refused = wrong = 0
    for row in rows:
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                value = parser(row)
        except Exception as error:
            refused += row.must_fail
            if not row.must_fail:
                on_miss(row, error)
            continue
        if row.is_expected(value):
            right += 1
        else:
            wrong += 1
            on_miss(row, value)
    readable = sum(not row.must_fail for row in rows)
    return Score(right, readable, refused, len(rows) - readable, wrong)


def fastest(*calls: Callable[[], object]) -> list[float]:
    """The least of several rounds of each, in seconds, the calls taking turns."""
    best = [float("inf")] * len(calls)
    for _ in range(_ROUNDS):
        for number, call in enumerate(calls):
            start = time.perf_counter()
            call()
            best[number] = min(best[number], time.perf_counter() - start)
    return best


def clean_ratio() -> float:
    """Clean JSON: Conduit's time by pydantic's own, in total over the schemas' answers."""
    ours = theirs = 0.0
    for subject in SUBJECTS:
        validator = TypeAdapter(subject.type)
        text = validator.dump_json(subject.answer, by_alias=True).decode()
        mdl.parse(text, subject.type)
        pair = fastest(
            lambda text=text, type_=subject.type: [mdl.parse(text, type_) for _ in range(300)],
            lambda text=text, validate=validator.validate_json: [validate(text) for _ in range(300)],
        )
        ours, theirs = ours + pair[0], theirs + pair[1]
    return ours / theirs


def defective_ratio(rows: Iterable[Row]) -> float:
    """Defects: Conduit's time by json_repair's, in total, refusals included."""
    ours = theirs = 0.0
    for row in rows:
        pair = fastest(lambda row=row: _quietly(row), lambda row=row: _repaired(row))
        ours, theirs = ours + pair[0], theirs + pair[1]
    return ours / theirs


def _quietly(row: Row) -> None:
    with contextlib.suppress(Exception):
        mdl.parse_schema(row.raw, row.schema)


def _repaired(row: Row) -> None:
    with contextlib.suppress(Exception):
        json_repair.repair_json(row.raw, return_objects=True)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument(
        "--data", type=Path, default=_DATA, help="folder with baml.jsonl and defects.jsonl"
    )
    arguments.add_argument("--only", default=",".join(PARSERS), help="these parsers, by comma, and Conduit's")
    arguments.add_argument("--verbose", metavar="PARSER", help="print what this parser missed")
    chosen = arguments.parse_args()

    sets: dict[str, list[Row]] = {}
    if (chosen.data / "baml.jsonl").exists():
        sets["baml"] = list(data_rows(chosen.data / "baml.jsonl", converts=False))
        sets["defects"] = list(data_rows(chosen.data / "defects.jsonl", converts=True))
    else:
        print(f"No data in {chosen.data}: only the own corpus is run.")
    sets["own"] = list(own_rows())

    def missed(row: Row, got: Any) -> None:
        expected = "a refusal" if row.must_fail else json.dumps(row.expected, ensure_ascii=False)
        print(f"--- {row.name}\n{row.raw}\nexpected {expected}\ngot      {repr(got)[:300]}")

    scores: dict[str, dict[str, Score]] = {}
    for name in dict.fromkeys(["conduit", *chosen.only.split(",")]):
        show = missed if name == chosen.verbose else lambda _row, _got: None
        scores[name] = {kind: score(PARSERS[name], rows, show) for kind, rows in sets.items()}

    print(f"\n{'':22}" + "".join(f"{kind + ': read':>16}{'refused':>10}{'wrong':>7}" for kind in sets))
    for name, by_kind in scores.items():
        cells = "".join(
            f"{f'{s.right}/{s.readable}':>16}{f'{s.refused}/{s.unreadable}':>10}{s.wrong:>7}"
            for s in by_kind.values()
        )
        print(f"{name:22}{cells}")

    clean, defective = clean_ratio(), defective_ratio(sets.get("defects", sets["own"]))
    print(f"\nclean JSON: {clean:.2f} x pydantic (bar 1.5); defective: {defective:.2f} x json_repair (bar 1)")
    own = scores["conduit"]
    figures = {
        f"{kind}_{field}": value
        for kind, s in own.items()
        for field, value in (
            ("read", round(s.share, 3)),
            ("refused", f"{s.refused}/{s.unreadable}"),
            ("wrong", s.wrong),
        )
    }
    main_set = "defects" if "defects" in sets else "own"
    report(
        "mdl_parse",
        own[main_set].share,
        0.96,
        "higher",
        ok=_is_ahead(scores) and own[main_set].wrong == 0 and clean <= 1.5 and defective <= 1.0,
        **figures,
        clean_ratio=round(clean, 2),
        defective_ratio=round(defective, 2),
    )


def _is_ahead(scores: dict[str, dict[str, Score]]) -> bool:
    """The bars on the data folder; without one, the own corpus alone decides."""
    own = scores["conduit"]
    if "baml" not in own:
        return True
    rivals = {name: by_kind for name, by_kind in scores.items() if name not in ("conduit", "baml-py")}
    return (
        own["baml"].share >= 0.9
        and own["baml"].refused == own["baml"].unreadable
        and all(
            own[kind].right > by_kind[kind].right
            for kind in ("baml", "defects")
            for by_kind in rivals.values()
        )
        and ("baml-py" not in scores or own["defects"].right > scores["baml-py"]["defects"].right)
    )


if __name__ == "__main__":
    main()
