"""Families of protocols: what a family file generates, and what it must not hold."""

import copy

import pytest

from benchmark.assemble import assemble, check_options
from benchmark.errors import LyceumError
from benchmark.families import expand, families, members
from benchmark.protocol import Protocol
from benchmark.recorder import Recorder

FAMILY = {
    "name": "x-{size}-{kind}-v1",
    "title": "X, {size}, {kind}",
    "budget": {"total": 10},
    "axes": [
        {
            "name": "size",
            "values": {
                "small": {"title": "a small one"},
                "large": {"title": "a large one", "set": {"budget.total": 1000}},
            },
        },
        {
            "name": "kind",
            "values": {
                "plain": {"title": "plain"},
                "half": {
                    "title": "half",
                    "set": {"student.options.every": {"share": 0.5, "of": "budget.total"}},
                },
            },
        },
    ],
}


def broken(**changes):
    return {**copy.deepcopy(FAMILY), **changes}


def test_members_are_all_combinations_of_values():
    family = expand({**FAMILY, "about": "a line"}, "x.toml")
    found = family.members
    assert (family.name, family.about) == (FAMILY["name"], "a line")
    assert family.axes == {"size": ["small", "large"], "kind": ["plain", "half"]}
    assert list(found) == [f"x-{a}-{b}-v1" for a in ("small", "large") for b in ("plain", "half")]
    assert found["x-small-plain-v1"] == {
        "name": "x-small-plain-v1",
        "title": "X, a small one, plain",
        "budget": {"total": 10},
    }
    assert found["x-large-half-v1"]["budget"] == {"total": 1000}
    # The share is taken of what the member has, not of what the family file says.
    assert found["x-large-half-v1"]["student"] == {"options": {"every": 500}}
    assert found["x-small-half-v1"]["student"] == {"options": {"every": 5}}


def axis(name, **values):
    return {
        "name": name,
        "values": {value: {"title": value, **more} for value, more in values.items()},
    }


def test_a_value_may_be_combined_with_some_others_only():
    axes = [axis("a", one={}, two={}), axis("b", any={}, rare={"only": {"a": ["two"]}})]
    assert list(expand({"name": "{a}-{b}", "title": "", "axes": axes}, "x.toml").members) == [
        "one-any",
        "two-any",
        "two-rare",
    ]


def test_families_share_the_values_of_an_axis(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmark.families.FOLDER", tmp_path)
    (tmp_path / "sizes.toml").write_text('[big]\ntitle = "big"\nset = { "budget.total" = 7 }\n')
    shared = {"name": "size", "file": "sizes.toml"}
    family = {"name": "{size}", "title": "", "axes": [shared | axis("size", small={})]}
    assert expand(family, "x.toml").axes == {"size": ["big", "small"]}
    assert expand(family, "x.toml").members["big"]["budget"] == {"total": 7}
    with pytest.raises(LyceumError, match=r"axes\.file cannot be read.*other\.toml"):
        expand({**family, "axes": [{"name": "size", "file": "other.toml"}]}, "x.toml")


@pytest.mark.parametrize(
    ("family", "message"),
    [
        (broken(name="x-{size}-v1"), "every axis in braces"),
        (broken(axes=[{"name": "size", "values": {}}]), "axes.values"),
        (broken(axes=[{"name": "size"}]), "axes.values"),
        (
            broken(name="{a}", axes=[{"name": "a", "values": {"b": {"title": "b", "sets": {}}}}]),
            "axes.values.b.sets",
        ),
        (
            broken(
                name="{a}",
                axes=[{"name": "a", "values": {"b": {"title": "b", "set": {"title.x": 1}}}}],
            ),
            "title is no table",
        ),
        (
            broken(name="{a}", axes=[axis("a", b={"only": {"c": ["d"]}})]),
            "axes.a.b.only: c does not have all of d",
        ),
        (
            {
                "name": "{a}x{b}",
                "title": "",
                "axes": [axis("a", x={}, xx={}), axis("b", x={}, xx={})],
            },
            "xxx is there already",
        ),
        (broken(share={"share": 0.5, "of": "budget.totl"}), "budget.totl is no number"),
    ],
)
def test_a_malformed_family_is_named(family, message):
    with pytest.raises(LyceumError, match=message.replace(".", r"\.")):
        expand(family, "x.toml")


def test_the_challenges_differ_in_what_their_name_says():
    load = Protocol.load
    base = load("stump_tracks-base-none-laptop-v1")
    rugged = load("stump_tracks-rugged-none-laptop-v1")
    high = load("stump_tracks-base-high-laptop-v1")
    assert (base.task.rugged, rugged.task.rugged) == (0, 4)
    assert high.information.knowledge == "high"
    for challenge, budget in (("forgetting", 2_048_000), ("forgetting", 20_000_000)):
        kind = "laptop" if budget < 10_000_000 else "paper"
        options = load(f"stump_tracks-{challenge}-low-{kind}-v1").student.options
        assert options["forget_every"] == round(0.35 * budget)
    tall = load("stump_tracks-unfeasible-high-paper-v1")
    assert tall.task.options["task_bounds"]["stump_height"] == [0.0, 9.0]
    assert tall.evaluation.options["task_bounds"]["stump_height"] == [0.0, 3.0]
    assert tall.information.initial_std == [0.9, 0.6]
    fingerprints = {load(name).fingerprint for name in members()}
    assert len(fingerprints) == len(members())


@pytest.mark.parametrize("name", sorted(members()))
def test_every_member_has_options_that_exist(name):
    protocol = Protocol.load(name)
    check_options(protocol)
    assert protocol.name == name


def test_diverse_students_are_two_bodies_with_two_students_each():
    family = families()["stump_tracks-{challenge}-{knowledge}-{budget}-v1"]
    assert len(family.members) == 7 * 3 * 2 + 2 * 3 * 2
    for budget, students in (("laptop", "sac"), ("paper", "ppo")):
        found = [name for name in family.members if f"-{budget}-{students}-" in name]
        assert {name.split("-")[1] for name in found} == {"spider", "short"}
    published = Protocol.load("stump_tracks-paper-v1")
    for body in ("spider", "short"):
        second = Protocol.load(f"stump_tracks-{body}-low-paper-ppo-v1")
        first = Protocol.load(f"stump_tracks-{body}-low-paper-v1")
        assert second.student == published.student and first.student.name == "sac"
        assert (second.task, second.evaluation) == (first.task, first.evaluation)
        assert second.budget.total == first.budget.total == 20_000_000
        cheap = Protocol.load(f"stump_tracks-{body}-low-laptop-sac-v1")
        assert cheap.student == Protocol.load("stump_tracks-sac-v1").student


# One member of each kind of world, body, student and test set; the rest differ in numbers only.
BUILT = [name for name in members() if "-high-laptop-" in name or "parkour-" in name]


@pytest.mark.parametrize("name", BUILT)
def test_every_challenge_can_be_built(name, tmp_path, monkeypatch):
    monkeypatch.setattr("benchmark.assemble.EVALUATION_WORLDS", 2)
    assemble(Protocol.load(name), "alp_gmm", {}, 0, Recorder(tmp_path, {}, 1e9)).close()
