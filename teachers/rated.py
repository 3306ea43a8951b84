"""Selection by a rating: a part of the pool, chosen once with chances exponential in the rating.

Wettig et al., "QuRating: Selecting High-Quality Data for Training Language Models", 2024,
https://arxiv.org/abs/2402.09739: ratings are brought to mean 0 and deviation 1 over the corpus, and
a budget of items is drawn without replacement with chances proportional to e^(rating / T), by
adding Gumbel noise to rating / T and keeping the largest. T = 0 keeps the best rated, a large T
draws evenly; the paper uses T = 1 and 2 and keeps 30 of 260 billion tokens.

Departures from the paper: the rating is minus the task's ``prior`` instead of one learned from
pairwise judgements. The share kept is ours, a tenth. The selection is passed again and again.
"""

from __future__ import annotations

import numpy as np

from teachers.base import Knowledge, TaskSpace
from teachers.pool import PoolTeacher, drawn_without_replacement
from teachers.presets import require

PREFERENCES = ("best", "worst")
COLDEST = 0.02  # below it e^(rating / T) leaves the range of numbers


class QualityTemperature(PoolTeacher):
    """Passes over a part of the pool that was drawn once, better rated items more likely.

    Args:
        task_space: the pool; minus its ``prior`` (n,) is the rating.
        seed: draws the selection and the passes.
        knowledge: not used.
        temperature: T, 0 for the best rated items only, or in [0.02, 1e6].
        share: part of the pool that is kept, in (0, 1]; at least one item.
        prefer: "best" or, as a control, "worst" rated items.

    Attributes: ``selection`` (k,), the items that are kept, numbered from 0.

    Raises:
        ValueError: an argument is out of range, or the pool has no prior.
    """

    reference = "Wettig et al. 2024, https://arxiv.org/abs/2402.09739"
    privileges = ("prior",)
    memory = (*PoolTeacher.memory, "selection")

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        temperature: float = 1.0,
        share: float = 0.1,
        prefer: str = "best",
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        if task_space.prior is None:
            raise ValueError(
                "quality_temperature selects by the items' prior, but this task gives none "
                "(TaskSpace.prior is None)"
            )
        if prefer not in PREFERENCES:
            raise ValueError(f"prefer must be one of {', '.join(PREFERENCES)}, but is {prefer!r}")
        require("quality_temperature", 1e-6, 1, share=share)
        require("quality_temperature", 0 if temperature == 0 else COLDEST, 1e6, temp=temperature)
        rating = standardised(-np.asarray(task_space.prior, dtype=np.float64))
        rating = rating if prefer == "best" else -rating
        size = max(1, round(share * self.items))
        if temperature == 0:
            # Equal ratings are kept in random order.
            order = np.lexsort((self.rng.random(self.items), -rating))
            self.selection = order[:size]
        else:
            chances = np.exp((rating - rating.max()) / temperature)
            self.selection = drawn_without_replacement(size, chances, self.rng)

    def next_pass(self, progress: float) -> np.ndarray:
        """The selection, whatever the progress."""
        return self.selection


def standardised(values: np.ndarray) -> np.ndarray:
    """Values (n,) with mean 0 and deviation 1; zeros if they are all equal."""
    centred = values - values.mean()
    deviation = centred.std()
    return centred / deviation if deviation > 0 else np.zeros_like(centred)
