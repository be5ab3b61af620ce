"""How every benchmark ends: one JSON line with its figure, its bar and whether it is met."""

from __future__ import annotations

import json
import sys
from typing import Any, Literal, NoReturn


def report(
    bench: str, value: float, bar: float, better: Literal["higher", "lower"], ok: bool = True, **more: Any
) -> NoReturn:
    """Prints the line and exits with 0 when the bar is met and everything else was ``ok`` too."""
    met = ok and (value >= bar if better == "higher" else value <= bar)
    print(
        json.dumps(
            {"bench": bench, "value": round(value, 3), "bar": bar, "better": better, "ok": met, **more}
        )
    )
    sys.exit(not met)
