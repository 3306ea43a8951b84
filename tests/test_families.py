"""Families of protocols: what a family file generates, and what it must not hold."""

import copy

import pytest

from benchmark.assemble import assemble, check_options
from benchmark.errors import LyceumError
from benchmark.families import expand, members
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
    found = {content["name"]: content for content in expand(FAMILY, "x.toml")}
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


@pytest.mark.parametrize("name", [name for name in members() if "-high-laptop-" in name])
def test_every_challenge_can_be_built(name, tmp_path, monkeypatch):
    monkeypatch.setattr("benchmark.assemble.EVALUATION_WORLDS", 2)
    assemble(Protocol.load(name), "alp_gmm", {}, 0, Recorder(tmp_path, {}, 1e9)).close()
