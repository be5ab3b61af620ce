"""What a type costs in a prompt: MDL/1 against the other ways to tell a model about it, in Qwen's tokens.

All carry the same docs, limits and defaults, but for the seed form, which has types only.
"""

# ruff: noqa: E402 -- the peers can be imported once the script runs in their environment

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from _peers import in_peer_environment
from _report import report

in_peer_environment()

from _baml import BamlFunction, as_baml
from _qwen import qwen
from _subjects import SUBJECTS
from _typescript import typescript
from pydantic import TypeAdapter

from conduit import mdl

_BARS = {"minified": 0.35, "typescript": 0.80, "baml": 0.60}


def _schema(type_: Any) -> dict[str, Any]:
    return TypeAdapter(type_).json_schema()


WRITERS: dict[str, Callable[[Any], str]] = {
    "mdl": mdl.render,
    "minified": lambda type_: json.dumps(_schema(type_), separators=(",", ":"), ensure_ascii=False),
    "pretty": lambda type_: json.dumps(_schema(type_), indent=2, ensure_ascii=False),
    "typescript": lambda type_: typescript(_schema(type_)),
    "baml": lambda type_: BamlFunction(as_baml(_schema(type_))).output_format(),
    "seed": lambda type_: "\n".join(mdl.compile_mdl(type_)),
}


def main() -> None:
    tokenizer = qwen()
    totals = dict.fromkeys(WRITERS, 0)
    comparable = dict.fromkeys(WRITERS, 0)
    print(f"{'':12}" + "".join(f"{name:>12}" for name in WRITERS))
    for subject in SUBJECTS:
        counts: dict[str, int] = {}
        for name, write in WRITERS.items():
            try:
                text = write(subject.type)
            except TypeError:  # the seed form has no names, so nothing recursive
                continue
            counts[name] = len(tokenizer.encode(text, disallowed_special=()))
            totals[name] += counts[name]
            if "--verbose" in sys.argv:
                print(f"--- {subject.name}, {name}\n{text}")
        if "seed" in counts:
            comparable = {name: comparable[name] + counts[name] for name in WRITERS}
        print(f"{subject.name:12}" + "".join(f"{counts.get(name, '-'):>12}" for name in WRITERS))
    ratios = {name: totals["mdl"] / totals[name] for name in WRITERS if name not in ("mdl", "seed")}
    ratios["seed"] = comparable["mdl"] / comparable["seed"]
    print(f"{'all':12}" + "".join(f"{total:>12}" for total in totals.values()))
    print(f"{'MDL by it':12}{'':12}" + "".join(f"{ratio:>12.3f}" for ratio in ratios.values()))
    worst = max(_BARS, key=lambda name: ratios[name] / _BARS[name])
    report(
        "mdl_tokens",
        ratios[worst],
        _BARS[worst],
        "lower",
        ok=all(ratios[name] <= bar for name, bar in _BARS.items()),
        nearest_bar=worst,
        **{name: round(ratio, 3) for name, ratio in ratios.items()},
    )


if __name__ == "__main__":
    main()
