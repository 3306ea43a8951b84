"""Delayed match to sample: is the last bit of a stream the one from N steps ago?"""

from __future__ import annotations

import numpy as np

from environments.supervised.n_parity import NParity


class DelayedMatch(NParity):
    """Say at the end of a stream of random bits whether the last equals the one N steps before.

    Source: Khajehabdollahi et al., 2024, https://arxiv.org/abs/2309.12927. Everything but the
    answer is as in ``NParity``: inputs (steps, 2), the task N, the two ways to tell N, the
    arguments and the departures. A stream has N + 1 to N + 5 bits; the marker of ``heads =
    "single"`` stands at the bit to be remembered. The class is 1 if both bits are equal.
    """

    parameter = ("delay", "steps", "N, how many steps ago the bit to match came")

    def needed(self, span: np.ndarray) -> np.ndarray:
        """The last bit and the N before it."""
        return span + 1

    def answer(self, bits: np.ndarray, span: np.ndarray, left: np.ndarray) -> np.ndarray:
        """1 where the last bit equals the one N steps before."""
        remembered = bits[np.arange(len(bits)), bits.shape[1] - 1 - span]
        return bits[:, -1] == remembered
