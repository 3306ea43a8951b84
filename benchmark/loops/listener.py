"""What a loop tells the rest of the harness while it trains."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np


class Listener(Protocol):
    """Hears from a loop; recording, evaluation, checkpoints and progress bars live behind it."""

    def on_outcomes(self, spent: np.ndarray, columns: dict[str, np.ndarray]) -> None:
        """Tasks (n,) ended; ``spent`` is the budget spent when each of them was proposed."""

    def on_progress(self, loop: Any) -> None:
        """The loop is between two steps: everything about it can be evaluated and saved."""
