"""What a valid proposal is, and what the message says about an invalid one."""

import numpy as np
import pytest
from gymnasium import spaces

from teachers.base import Proposal, TaskSpace
from teachers.proposals import validate_proposal

ITEMS = spaces.Discrete(10)
BOX = TaskSpace(
    spaces.Box(np.array([0.0, -1.0]), np.array([1.0, 1.0]), dtype=np.float64),
    names=("stump_height", "stump_spacing"),
)
TWO = np.array([3, 9])
ROWS = np.array([[0.0, -1.0], [1.0, 1.0]])


@pytest.mark.parametrize(
    ("proposal", "space"),
    [
        (Proposal(TWO), ITEMS),
        (Proposal(TWO.astype(np.uint8)), ITEMS),
        (Proposal(TWO + 5), spaces.Discrete(10, start=5)),
        (Proposal(ROWS), BOX),
        (Proposal(ROWS, np.array([0.0, 2.5]), np.array([0, 2**40])), BOX),
        (Proposal(TWO, np.zeros(2)), ITEMS),
    ],
)
def test_valid_proposals_pass(proposal, space):
    assert validate_proposal(proposal, space, 2) is None


@pytest.mark.parametrize(
    ("proposal", "space", "message"),
    [
        (TWO, ITEMS, "returned a ndarray; expected a Proposal"),
        (Proposal([1, 2]), ITEMS, "tasks as a list"),
        (Proposal(None), ITEMS, "tasks as a NoneType"),
        (Proposal(TWO, weights=[1.0, 1.0]), ITEMS, "weights as a list"),
        (Proposal(TWO[:1]), ITEMS, r"tasks of shape \(1,\); expected \(2,\)"),
        (Proposal(TWO[:, None]), ITEMS, r"tasks of shape \(2, 1\)"),
        (Proposal(TWO.astype(float)), ITEMS, "dtype float64; expected integers"),
        (Proposal(TWO + 1), ITEMS, "item 10; allowed 0 to 9"),
        (Proposal(TWO - 4), ITEMS, "item -1; allowed 0 to 9"),
        (Proposal(TWO), spaces.Discrete(10, start=5), "item 3; allowed 5 to 14"),
        (Proposal(ROWS[0]), BOX, r"tasks of shape \(2,\); expected \(2, 2\)"),
        (Proposal(ROWS.astype(np.float32)), BOX, "dtype float32; expected float64"),
        (
            Proposal(ROWS * 1.2),
            BOX,
            r"returned -1\.2 for dimension 1 \(stump_spacing\); allowed \[-1, 1\]; clip",
        ),
        (Proposal(ROWS * np.nan), BOX, r"nan for dimension 0 \(stump_height\).*division by zero"),
        (Proposal(TWO, np.ones(3)), ITEMS, r"weights of shape \(3,\)"),
        (Proposal(TWO, np.array([1.0, -0.5])), ITEMS, r"weight -0\.5; allowed finite"),
        (Proposal(TWO, np.array([np.nan, 1.0])), ITEMS, "weight nan"),
        (Proposal(TWO, np.array([np.inf, 1.0])), ITEMS, "weight inf"),
        (Proposal(TWO, np.array(["a", "b"])), ITEMS, "weights of dtype"),
        (Proposal(TWO, seeds=np.ones(2)), ITEMS, "seeds of dtype float64"),
        (Proposal(TWO, seeds=np.array([1, -1])), ITEMS, "seed -1; allowed integers >= 0"),
        (Proposal(TWO, seeds=np.ones((2, 1), int)), ITEMS, r"seeds of shape \(2, 1\)"),
    ],
)
def test_invalid_proposals_are_named(proposal, space, message):
    with pytest.raises(ValueError, match=rf"^propose\(\) returned .*{message}|{message}"):
        validate_proposal(proposal, space, 2)
