"""One case of the corpus: what a model wrote, for which type, and what a careful reader makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final


class Outcome(Enum):
    """What is expected where no value is."""

    REFUSED = "refused"


REFUSED: Final = Outcome.REFUSED
"""No value may come of the text: a careful reader would ask again."""


@dataclass(frozen=True)
class Case:
    """``expected`` is the value of ``type`` that the text means, or ``REFUSED``."""

    name: str
    type: Any
    raw: str
    expected: Any

    @property
    def refused(self) -> bool:
        return self.expected is REFUSED
