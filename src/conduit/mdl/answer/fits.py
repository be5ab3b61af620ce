"""The outcome of holding a value against a form: it fits, after some repairs, or it misses, for some reasons.

None of these is ever changed. They are not frozen because they are made by the hundred, and freezing doubles
that price.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from conduit.mdl.answer.repairs import Repair, repair
from conduit.mdl.form import Form


@dataclass(slots=True)
class Fit:
    """A JSON value of the form. ``cost`` is the price of the repairs that led to it."""

    value: Any
    repairs: tuple[Repair, ...] = ()
    cost: int = 0

    def after(self, kind: str) -> Fit:
        """The same value, reached through one more repair at its root."""
        done = repair(kind)
        return Fit(self.value, (done, *self.repairs), self.cost + done.cost)


@dataclass(slots=True)
class Problem:
    """Why a value misses: at ``path`` something other than ``expected`` stands."""

    path: str
    text: str
    expected: Form


@dataclass(slots=True)
class Miss:
    """The value does not fit."""

    problems: tuple[Problem, ...]


def miss(text: str, expected: Form) -> Miss:
    """A miss at the root."""
    return Miss((Problem("", text, expected),))


def below(step: str, path: str) -> str:
    """The path of what stands at ``path`` under ``step``, which is a name or ``[index]``."""
    if not path or path.startswith("["):
        return step + path
    return f"{step}.{path}"


def moved(repairs: tuple[Repair, ...], step: str) -> list[Repair]:
    """The repairs of a part, as seen from the whole."""
    return [Repair(done.kind, below(step, done.path), done.cost) for done in repairs]


def problems_below(step: str, found: Miss) -> list[Problem]:
    """The problems of a part, as seen from the whole."""
    return [Problem(below(step, problem.path), problem.text, problem.expected) for problem in found.problems]
