"""How a service that waits for nobody's questions is: counts that whoever scrapes it reads."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(slots=True)
class Pulse:
    """
    Of one service: written by its thread alone, read by any other.

    `at` is when it last came round, seconds since 1970, whether there was work or not; 0.0 before the first time.
    `interruptions` counts how often it had to begin anew: reconnects, and consumers that had fallen silent.
    """

    at: float = 0.0
    interruptions: int = 0

    def beat(self) -> None:
        """Note that it came round."""
        self.at = time.time()
