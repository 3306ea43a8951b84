"""Everything that is registered obeys its contract."""

import pytest
from gymnasium.envs.registration import load_env_creator

from environments import TASKS, WORLDS
from environments.box2d.body import BODIES
from environments.check import check_environment, check_task
from students import STUDENTS
from students.check import check_student
from teachers import TEACHERS
from teachers.check import check_teacher

# Arguments of worlds and tasks that protocols use beside the defaults.
VARIANTS = {
    "digits": ({}, {"noise_rate": 0.4}, {"tail_ratio": 50.0}, {"noise": "next_class", "copies": 3}),
    "breast_cancer": ({}, {"noise_rate": 0.3}),
    "decimal_addition": ({}, {"per_operand": True}, {"tasks": "items", "items": 900}),
    "grammar": ({}, {"tasks": "levels"}, {"tasks": "items", "items": 900}),
    "levels_topics": ({}, {"answers": "last", "groups": "levels", "noise_rates": (0.3, 0, 0, 0)}),
    "match": ({}, {"tasks": "levels"}, {"tasks": "items", "items": 600}),
    "modular_sum": ({}, {"tasks": "items", "items": 900}),
    "shapes": ({}, {"tasks": "levels"}, {"tasks": "items", "items": 900}),
    "delayed_match": ({}, {"heads": "multi", "tasks": "items", "items": 500}),
    "n_parity": ({}, {"tasks": "levels", "heads": "multi"}, {"tasks": "items", "items": 500}),
    "rerank": ({}, {"heuristic": "kde", "items": 300}),
    "sparse_parity": ({}, {"tasks": "levels"}, {"tasks": "items", "held_out": (0.1, 0.5)}),
    "stump_tracks": (
        *({"body": body} for body in BODIES),
        {"quirks": False},
        {"obstacles": ("stumps", "sequence"), "task_bounds": {"stump_width": (0, 3)}},
    ),
    "parkour": (
        *({"body": body} for body in BODIES),
        {"quirks": False},
        {"body": "climbing_profile_chimpanzee", "creepers": "movable"},
        {"body": "fish", "creepers": "none"},
    ),
    "hypercube": ({}, {"dimensions": 1}, {"dimensions": 2, "irrelevant": 6}),
}


def cases(table):
    return [
        pytest.param(table[name], keywords, id=f"{name}-{index}")
        for name in table
        for index, keywords in enumerate(VARIANTS.get(name, ({},)))
    ]


@pytest.mark.parametrize("name", TEACHERS)
def test_teacher(name):
    records = check_teacher(load_env_creator(TEACHERS[name]))
    assert sum(record.status == "passed" for record in records) >= 20


@pytest.mark.parametrize(("entry", "keywords"), cases(WORLDS))
def test_world(entry, keywords):
    records = check_environment(load_env_creator(entry), **keywords)
    assert all(record.status == "passed" for record in records)


@pytest.mark.parametrize(("entry", "keywords"), cases(TASKS))
def test_task(entry, keywords):
    records = check_task(load_env_creator(entry), **keywords)
    assert all(record.status == "passed" for record in records)


# The library of "sb3" is an extra; tests/test_stable_baselines.py runs the checker on it.
@pytest.mark.parametrize("name", [name for name in STUDENTS if name != "sb3"])
def test_student(name):
    records = check_student(load_env_creator(STUDENTS[name]))
    assert sum(record.status == "passed" for record in records) >= 10
