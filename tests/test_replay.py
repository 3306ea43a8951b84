"""The replay memory and the files it can be kept in."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from students import journal
from students.base import Transitions
from students.replay import ReplayMemory

WORLDS = 3


class Story:
    """Transitions whose numbers tell where they belong: row n holds n + 0.1, n + 0.2, ..."""

    def __init__(self):
        self.told = 0

    def step(self, count=WORLDS):
        number = np.arange(self.told, self.told + count, dtype=np.float64)
        self.told += count
        part = lambda *shares: np.stack([number + share for share in shares], axis=1)  # noqa: E731
        return Transitions(
            observations=part(0.1, 0.2),
            actions=part(0.3),
            rewards=number + 0.4,
            terminated=number % 2 == 1,
            truncated=number % 3 == 1,
            next_observations=part(0.5, 0.6),
        )


def fill(memory, story, steps, count=WORLDS):
    for _ in range(steps):
        step = story.step(count)
        memory.add(step, step.actions)
    return memory


def make(capacity=20):
    return ReplayMemory(capacity, inputs=2, outputs=1)


def numbers(memory):
    """Which rows are held, oldest first."""
    return memory.latest(memory.size)[:, 0].astype(int).tolist()


def draw(memory, count=4, batch=5, seed=0):
    return memory.sample(count, batch, torch.Generator().manual_seed(seed))


@pytest.fixture(autouse=True)
def short_files(monkeypatch):
    monkeypatch.setattr(journal, "SEGMENT", 8)


# In memory ---------------------------------------------------------------------------------------


def test_a_batch_holds_whole_transitions():
    memory = fill(make(), Story(), 5)
    seen, actions, rewards, terminated, following = (x.numpy() for x in draw(memory))
    assert seen.shape == following.shape == (4, 5, 2) and actions.shape == (4, 5, 1)
    assert rewards.shape == terminated.shape == (4, 5)
    number = np.floor(rewards)
    np.testing.assert_allclose(seen, number[..., None] + [0.1, 0.2], rtol=1e-6)
    np.testing.assert_allclose(actions[..., 0], number + 0.3, rtol=1e-6)
    np.testing.assert_allclose(rewards, number + 0.4, rtol=1e-6)
    np.testing.assert_array_equal(terminated, number % 2)  # not the truncated ones
    np.testing.assert_allclose(following, number[..., None] + [0.5, 0.6], rtol=1e-6)


@pytest.mark.parametrize("steps", [2, 7, 30])
def test_the_latest_are_drawn_uniformly(steps):
    memory = fill(make(), Story(), steps)
    expected = list(range(max(0, 3 * steps - 20), 3 * steps))
    assert numbers(memory) == expected
    drawn = torch.floor(draw(memory, 100, 200)[2]).numpy().astype(int)
    values, counts = np.unique(drawn, return_counts=True)
    assert values.tolist() == expected
    mean = drawn.size / len(expected)
    assert np.abs(counts - mean).max() < 5 * mean**0.5


def test_one_draw_of_many_batches_uses_the_given_generator_alone():
    memory = fill(make(), Story(), 9)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, other, another = draw(memory)[0], draw(memory)[0], draw(memory, seed=1)[0]
    assert torch.equal(one, other) and not torch.equal(one, another)
    assert torch.equal(before, torch.get_rng_state())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 12))
def test_it_holds_what_a_plain_list_would(counts, capacity):
    memory, story, plain = make(capacity), Story(), []
    for count in counts:
        if count == 0:
            memory.clear()
            plain = []
            continue
        plain += range(story.told, story.told + count)
        fill(memory, story, 1, count)
        plain = plain[-capacity:]
        assert numbers(memory) == plain and memory.size == len(plain)
        drawn = torch.floor(draw(memory, 1, 30)[2]).int().flatten().tolist()
        assert set(drawn) <= set(plain)


@pytest.mark.parametrize("steps", [0, 3, 15])
def test_a_state_restores_exactly_and_is_a_copy(steps):
    memory, story = fill(make(), Story(), steps), Story()
    story.told = 3 * steps
    state = memory.state_dict()
    other = make()
    other.load_state_dict(state)
    assert numbers(memory) == numbers(other)
    fill(memory, story, 4)
    story.told = 3 * steps
    fill(other, story, 4)
    for left, right in zip(draw(memory), draw(other), strict=True):
        assert torch.equal(left, right)
    again = make()
    again.load_state_dict(state)
    assert numbers(again) == list(range(max(0, 3 * steps - 20), 3 * steps))


def test_what_is_not_finite_or_does_not_fit_is_refused():
    memory, step = make(), Story().step()
    for name in ("rewards", "observations", "next_observations"):
        for bad in (np.nan, 1e300):
            broken = vars(step) | {name: np.full_like(getattr(step, name), bad)}
            with pytest.raises(ValueError, match="finite float32"):
                memory.add(Transitions(**broken), step.actions)
    assert memory.size == 0
    state = fill(make(), Story(), 3).state_dict()
    for other in (make(21), ReplayMemory(20, inputs=3, outputs=1)):
        with pytest.raises(ValueError, match="options were different"):
            other.load_state_dict(state)


# In files ----------------------------------------------------------------------------------------


def kept(folder, capacity=20):
    memory = make(capacity)
    memory.keep_in(folder)
    return memory


def restored(folder, state, capacity=20):
    memory = kept(folder, capacity)
    memory.load_state_dict(state)
    return memory


def sizes(folder):
    return {path.name: path.stat().st_size for path in folder.iterdir()}


def test_a_state_writes_only_what_is_new(tmp_path):
    memory, story = kept(tmp_path, 1000), Story()
    width = memory.rows.shape[1] * 4
    fill(memory, story, 5)
    first = memory.state_dict()
    assert sum(sizes(tmp_path).values()) == 15 * width
    untouched = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    fill(memory, story, 1)
    second = memory.state_dict()
    assert sum(sizes(tmp_path).values()) == 18 * width
    full = min(untouched)  # its 8 rows were there before
    assert full.stat().st_mtime_ns == untouched[full]
    before = sizes(tmp_path)
    assert memory.state_dict() == second and sizes(tmp_path) == before
    assert "rows" not in second and len(str(second)) < 400
    for state, end in ((first, 15), (second, 18)):
        assert numbers(restored(tmp_path, state, 1000)) == list(range(end))


def test_the_last_three_states_can_be_restored_however_much_is_overwritten(tmp_path):
    """Two checkpoints are kept, and both count until the third has reached the disk."""
    memory, story, states = kept(tmp_path), Story(), []
    rng = np.random.default_rng(0)
    for _ in range(40):
        fill(memory, story, int(rng.integers(0, 12)))
        states = [*states[-2:], (memory.state_dict(), numbers(memory))]
        for state, held in states:
            assert numbers(restored(tmp_path, state)) == held
    # Old files go: at most the rows of the three last states and of begun files are left.
    width = memory.rows.shape[1] * 4
    assert sum(sizes(tmp_path).values()) <= (20 + 3 * 36 + 8) * width


def test_rows_written_after_a_state_do_it_no_harm(tmp_path):
    memory, story = fill(kept(tmp_path), Story(), 4), Story()
    state = memory.state_dict()
    last = max(tmp_path.iterdir())
    last.write_bytes(last.read_bytes() + b"torn")  # a crash in the middle of the next write
    story.told = 12
    resumed, never_stopped = restored(tmp_path, state), make()
    never_stopped.load_state_dict(memory_state(memory))
    for learner in (resumed, never_stopped):
        story.told = 12
        fill(learner, story, 5)
        learner.state_dict()
    for left, right in zip(draw(resumed), draw(never_stopped), strict=True):
        assert torch.equal(left, right)
    assert numbers(restored(tmp_path, resumed.state_dict())) == numbers(never_stopped)


def memory_state(memory):
    """The plain state of a memory that is kept in files."""
    return {"capacity": memory.capacity, "added": memory.added, "rows": memory.latest(memory.size)}


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_damaged_files_are_noticed(tmp_path, damage):
    memory = fill(kept(tmp_path), Story(), 6)
    state = memory.state_dict()
    path = sorted(tmp_path.iterdir())[1]
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(bytes(content) if damage == "flip" else bytes(content[:-1]))
    with pytest.raises(journal.DamagedRows, match="missing or damaged"):
        restored(tmp_path, state)


def test_a_state_in_files_needs_its_folder_and_a_plain_one_can_move_there(tmp_path):
    memory, story = fill(kept(tmp_path / "a"), Story(), 6), Story()
    state = memory.state_dict()
    with pytest.raises(ValueError, match="keep_in"):
        make().load_state_dict(state)
    with pytest.raises(journal.DamagedRows, match="missing or damaged"):
        restored(tmp_path / "b", state)
    story.told = 100
    plain = fill(make(), story, 6)
    plain.added = memory.added  # the same row numbers with other rows in them
    memory.load_state_dict(plain.state_dict())
    assert numbers(restored(tmp_path / "a", memory.state_dict())) == list(range(100, 118))


def test_a_fresh_run_in_a_used_folder_starts_anew_and_tidies_up(tmp_path):
    fill(kept(tmp_path), Story(), 6).state_dict()
    old, story = set(tmp_path.iterdir()), Story()
    story.told = 50
    memory = kept(tmp_path)
    for _ in range(3):
        fill(memory, story, 1)
        state = memory.state_dict()
    assert numbers(restored(tmp_path, state)) == list(range(50, 59))
    assert not old & set(tmp_path.iterdir())


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from(["add", "add", "save", "crash", "fall back", "clear"]), max_size=40)
)
def test_any_history_of_saves_and_crashes_ends_in_the_right_rows(tmp_path_factory, history):
    folder = tmp_path_factory.mktemp("rows")
    memory, story, saved = kept(folder), Story(), []
    for event in history:
        if event == "add":
            fill(memory, story, 1 + story.told % 4)
        elif event == "clear":
            memory.clear()
        elif event == "save":
            saved = [*saved[-1:], (memory.state_dict(), numbers(memory), story.told)]
        elif saved:
            # After falling back on the older state the newer one counts as lost.
            saved = saved[:1] if event == "fall back" else saved
            state, held, story.told = saved[-1]
            memory = restored(folder, state)
            assert numbers(memory) == held
