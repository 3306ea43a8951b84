"""The synthetic world and its student, from outside and against the rules of the paper."""

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env

from environments.hypercube import Hypercube
from environments.vector import make_worlds
from students.base import Transitions
from students.synthetic import SyntheticStudent

ENTRY = "environments.hypercube:Hypercube"


def student(dimensions=2, **options):
    space = spaces.Box(0.0, 1.0, (dimensions,), np.float64)
    options = {"num_envs": 1, "seed": 0, **options}
    return SyntheticStudent(space, spaces.Box(0.0, 1.0, (1,), np.float64), **options)


def practise(learner, tasks, times=1):
    tasks = np.atleast_2d(np.asarray(tasks, dtype=np.float64))
    ended = np.ones(len(tasks), dtype=bool)
    for _ in range(times):
        actions = learner.act(tasks)
        learner.observe(Transitions(tasks, actions, actions[:, 0], ended, ~ended, tasks))
    return actions[:, 0]


# The world ---------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("options", [{}, {"dimensions": 1}, {"dimensions": 3, "irrelevant": 2}])
def test_gymnasium_accepts_the_world(options):
    check_env(Hypercube(**options), skip_render_check=True)


def test_an_episode_is_one_question():
    world = Hypercube(dimensions=2, irrelevant=1)
    task = np.array([0.3, 0.7, 0.1])
    observation, _ = world.reset(seed=0, options={"task": task})
    assert observation.dtype == np.float64
    np.testing.assert_array_equal(observation, task)
    observation, reward, terminated, truncated, info = world.step(np.array([0.76]))
    assert (reward, terminated, truncated, info["success"]) == (0.76, True, False, True)
    world.reset(options={"task": task})
    assert world.step(np.array([0.75]))[4]["success"] is False


def test_the_default_task_is_the_origin():
    observation, _ = Hypercube().reset(seed=0)
    np.testing.assert_array_equal(observation, [0.0, 0.0])


def test_what_the_world_refuses():
    world = Hypercube()
    with pytest.raises(RuntimeError, match="reset"):
        world.step(np.array([0.5]))
    world.reset(seed=0)
    for answer in (1.01, -0.1, np.nan):
        with pytest.raises(ValueError, match="between 0 and 1"):
            world.step(np.array([answer]))
    with pytest.raises(ValueError, match="outside the task space"):
        world.reset(options={"task": np.array([0.5, 1.5])})
    with pytest.raises(ValueError, match="unknown reset options"):
        world.reset(options={"level": 1})
    with pytest.raises(ValueError, match="dimensions >= 1"):
        Hypercube(dimensions=0)
    with pytest.raises(ValueError, match="render_mode"):
        Hypercube(render_mode="human")


def test_rendering_shows_the_task_and_the_answer():
    world = Hypercube(render_mode="rgb_array")
    world.reset(seed=0, options={"task": np.array([1.0, 1.0])})
    before = world.render()
    world.step(np.array([1.0]))
    after = world.render()
    assert before.shape == (200, 200, 3) and before.dtype == np.uint8
    assert after[0, -1, 0] == 255 and before[0, -1, 0] == 90  # top right
    assert after[-1, 0, 0] == 40  # bottom left: background


@pytest.mark.parametrize("workers", [1, 2])
def test_many_worlds_step_together(workers):
    tasks = np.random.default_rng(0).random((4, 2))
    with make_worlds(ENTRY, {"dimensions": 2}, 4, workers) as worlds:
        observations = worlds.reset(np.arange(4), tasks, np.arange(4))
        result = worlds.step(np.array([[0.1], [0.8], [0.75], [1.0]]))
    np.testing.assert_array_equal(observations, tasks)
    np.testing.assert_array_equal(result.rewards, [0.1, 0.8, 0.75, 1.0])
    np.testing.assert_array_equal(result.success, [False, True, False, True])
    assert result.terminated.all()


# The student -------------------------------------------------------------------------------------


def test_only_the_origin_is_open_at_first():
    learner = student()
    assert practise(learner, [0.05, 0.05]) == 0.01
    assert practise(learner, [0.15, 0.05]) == 0.0
    assert practise(learner, [0.95, 0.95]) == 0.0
    assert learner.updates == 1


def test_75_episodes_open_the_three_upper_neighbours():
    learner = student()
    practise(learner, [0.05, 0.05], 74)
    assert practise(learner, [0.15, 0.15]) == 0.0
    practise(learner, [0.05, 0.05])
    for neighbour in ([0.15, 0.05], [0.05, 0.15], [0.15, 0.15]):
        assert practise(learner, neighbour) == 0.01
    assert practise(learner, [0.25, 0.15]) == 0.0
    # A lower neighbour never opens by mastering an upper one.
    learner = student(cubes=2)
    practise(learner, [0.1, 0.1], 75)
    practise(learner, [0.9, 0.1], 75)
    assert practise(learner, [0.9, 0.9]) == 0.01
    assert learner.value(np.array([[0.1, 0.9]])) == 0.0


def test_competence_stops_at_its_maximum():
    learner = student()
    assert practise(learner, [0.0, 0.0], 120) == 1.0
    assert learner.updates == 100


def test_scores_are_measured_after_the_practice_and_mastery_above_75():
    learner = student()
    assert practise(learner, [0.0, 0.0], 75) == 0.75
    assert learner.mastered() == 0.0
    assert practise(learner, [0.0, 0.0]) == 0.76
    assert learner.mastered() == 0.01


def test_rows_of_a_batch_are_practised_in_order():
    learner = student(num_envs=4)
    practise(learner, [0.05, 0.05], 73)
    scores = practise(
        learner, [[0.15, 0.05], [0.05, 0.05], [0.05, 0.05], [0.15, 0.05], [0.15, 0.05]]
    )
    # The neighbour is closed before the 75th practice and open after it, within one batch.
    np.testing.assert_array_equal(scores, [0.0, 0.74, 0.75, 0.01, 0.02])


def test_asking_changes_nothing():
    learner = student(num_envs=3)
    practise(learner, [0.05, 0.05], 74)
    before = learner.state_dict()["competence"]
    tasks = np.array([[0.05, 0.05], [0.15, 0.15], [0.05, 0.05]])
    np.testing.assert_array_equal(learner.act(tasks)[:, 0], [0.75, 0.01, 0.76])
    np.testing.assert_array_equal(learner.act(tasks)[:, 0], [0.75, 0.01, 0.76])
    np.testing.assert_array_equal(learner.act(tasks, explore=False)[:, 0], [0.74, 0.0, 0.74])
    np.testing.assert_array_equal(learner.value(tasks), [0.74, 0.0, 0.74])
    np.testing.assert_array_equal(learner.state_dict()["competence"], before)


def brute_force(tasks, cubes, dimensions):
    """The rules of the paper, word by word, one task at a time."""
    grid, scores = np.zeros((cubes,) * dimensions), []
    for task in tasks:
        cube = tuple(min(int(x * cubes), cubes - 1) for x in task[:dimensions])
        lower = np.ndindex((2,) * dimensions)
        neighbours = [tuple(np.subtract(cube, offset)) for offset in lower if any(offset)]
        is_open = not any(cube) or any(
            min(neighbour) >= 0 and grid[neighbour] >= 75 for neighbour in neighbours
        )
        if is_open:
            grid[cube] = min(100, grid[cube] + 1)
        scores.append(grid[cube] / 100)
    return grid, np.array(scores)


@pytest.mark.parametrize(
    ("dimensions", "irrelevant", "cubes", "episodes"),
    [(1, 0, 5, 2000), (2, 0, 4, 6000), (3, 1, 2, 4000)],
)
def test_the_student_follows_the_rules_of_the_paper(dimensions, irrelevant, cubes, episodes):
    tasks = np.random.default_rng(3).random((episodes, dimensions + irrelevant))
    learner = student(dimensions + irrelevant, relevant=dimensions, cubes=cubes, num_envs=8)
    batches = np.split(tasks, episodes // 8)
    scores = np.concatenate([practise(learner, batch) for batch in batches])
    grid, expected = brute_force(tasks, cubes, dimensions)
    np.testing.assert_array_equal(scores, expected)
    inside = learner.state_dict()["competence"][(slice(0, cubes),) * dimensions]
    np.testing.assert_array_equal(inside, grid)
    assert learner.mastered() == np.mean(grid > 75)
    assert (grid > 75).sum() > 1


def test_a_restored_student_goes_on_exactly():
    tasks = np.random.default_rng(0).random((2000, 2))
    whole = student(cubes=3)
    practise(whole, tasks)
    half = student(cubes=3)
    practise(half, tasks[:900])
    restored = student(cubes=3)
    restored.load_state_dict(half.state_dict())
    practise(restored, tasks[900:])
    np.testing.assert_array_equal(
        restored.state_dict()["competence"], whole.state_dict()["competence"]
    )
    assert restored.updates == whole.updates
    with pytest.raises(ValueError, match="other cubes"):
        student(cubes=4).load_state_dict(half.state_dict())


def test_edges_belong_to_the_upper_cube_and_one_to_the_last():
    learner = student(dimensions=1, cubes=10)
    practise(learner, [0.1 - 1e-12], 75)
    assert practise(learner, [0.1]) == 0.01
    assert learner.value(np.array([[0.1 - 1e-12]])) == 0.75
    assert learner.value(np.array([[1.0]])) == 0.0


def test_what_the_student_refuses():
    for options in (
        {"cubes": 0}, {"relevant": 3}, {"relevant": 0}, {"unlock": 0.0}, {"unlock": 1.5},
        {"max_competence": 0}, {"cubes": 10_000},
    ):  # fmt: skip
        with pytest.raises(ValueError, match="must"):
            student(**options)
    for observations in ([[0.5, np.nan]], [[0.5, 1.1]], [0.5, 0.5]):
        with pytest.raises(ValueError, match="within their space"):
            student().act(np.array(observations))
    unbounded = spaces.Box(-np.inf, np.inf, (2,))
    with pytest.raises(ValueError, match="bounded Box"):
        SyntheticStudent(unbounded, spaces.Box(0, 1, (1,)), num_envs=1, seed=0)
    with pytest.raises(ValueError, match="shape"):
        SyntheticStudent(spaces.Box(0, 1, (2,)), spaces.Box(0, 1, (2,)), num_envs=1, seed=0)
