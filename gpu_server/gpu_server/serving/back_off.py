"""How long to wait before the next engine is started, so that one that keeps dying does not take the machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class BackOff:
    """Doubles the pause with every loss, and begins anew after an engine that ran well.

    Attributes:
        first_s: The first pause.
        most_s: The longest pause.
        ran_well_s: How long an engine must have served for the count to begin anew.
    """

    first_s: float = 1.0
    most_s: float = 60.0
    ran_well_s: float = 60.0
    _losses: int = 0

    def pause_s(self, served_s: float) -> float:
        """Return how long to wait now.

        Args:
            served_s: How long the last engine served; 0 when it did not even load.
        """
        if served_s >= self.ran_well_s:
            self._losses = 0
        pause_s = min(self.most_s, self.first_s * 2.0 ** min(self._losses, 64))
        self._losses += 1
        return pause_s
