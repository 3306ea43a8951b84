"""Controls of cyclical curricula: the same sizes of passes, drawn hardest first or evenly.

They share everything but the chances with ``ccl`` (Kesgin & Amasyali, "Cyclical Curriculum
Learning", 2023, https://arxiv.org/abs/2202.05531), and so tell what its cycles alone do.

Departures from the paper: those of ``ccl``. The paper's own controls are baselines without cycles.
"""

from __future__ import annotations

import numpy as np

from teachers.cyclical import CCL, LEAST_LOSS


class CCLAnti(CCL):
    """``CCL`` with chances proportional to the loss instead of its inverse.

    Args: see ``CCL``; ``form`` is ignored.
    """

    def chances(self) -> np.ndarray:
        """What each item's chance (n,) is proportional to, in [0, 1]."""
        losses = self.losses if self.scores == "current" else self.frozen
        finite = losses[np.isfinite(losses)]
        if not finite.size:
            return np.ones(self.items)  # nothing was trained on yet
        losses = np.clip(losses, LEAST_LOSS, finite.max())
        return losses / losses.max() * self.tired


class CCLRandom(CCL):
    """``CCL`` with equal chances: passes of the same sizes over random items.

    Args: see ``CCL``; ``form`` and ``scores`` are ignored.
    """

    def chances(self) -> np.ndarray:
        """One for each item (n,), less for those of the last pass if they are to be tired."""
        return self.tired.copy()
