"""Procedural worlds and supervised tasks, found by name; the worlds' Gymnasium ids."""

from gymnasium.envs.registration import register

WORLDS = {
    "bipedal_terrain": "environments.box2d.bipedal_terrain:BipedalTerrain",
    "hypercube": "environments.hypercube:Hypercube",
    "parkour": "environments.box2d.parkour:Parkour",
    "point_mass": "environments.point_mass:PointMass",
    "stump_tracks": "environments.box2d.stump_tracks:StumpTracks",
}
TASKS = {
    "breast_cancer": "environments.supervised.breast_cancer:BreastCancer",
    "decathlon6": "environments.supervised.decathlon6:Decathlon6",
    "decimal_addition": "environments.supervised.decimal_addition:DecimalAddition",
    "delayed_match": "environments.supervised.delayed_match:DelayedMatch",
    "digits": "environments.supervised.digits:Digits",
    "gaussian_groups": "environments.supervised.gaussian_groups:GaussianGroups",
    "grammar": "environments.supervised.grammar:Grammar",
    "levels_topics": "environments.supervised.levels_topics:LevelsTopics",
    "match": "environments.supervised.match:Match",
    "midtrain": "environments.supervised.midtrain:Midtrain",
    "modular_sum": "environments.supervised.modular_sum:ModularSum",
    "multi_domain": "environments.supervised.multi_domain:MultiDomain",
    "n_parity": "environments.supervised.n_parity:NParity",
    "rerank": "environments.supervised.rerank:Rerank",
    "shapes": "environments.supervised.shapes:Shapes",
    "sparse_parity": "environments.supervised.sparse_parity:SparseParity",
    "topics_quality": "environments.supervised.topics_quality:TopicsQuality",
}

# Version 0 keeps the quirks of the published worlds, version 1 mends them. Gymnasium's own wrapper
# cuts the episodes, so that ``gymnasium.make(..., max_episode_steps=...)`` works as everywhere.
_UNCUT = {"max_episode_steps": None}
GYMNASIUM = {
    "BipedalTerrain-v0": ("bipedal_terrain", 2000, _UNCUT),
    "Hypercube-v0": ("hypercube", None, {}),
    "Parkour-v0": ("parkour", 2000, _UNCUT),
    "Parkour-v1": ("parkour", 2000, {**_UNCUT, "quirks": False}),
    "PointMass-v0": ("point_mass", 100, _UNCUT),
    "StumpTracks-v0": ("stump_tracks", 2000, _UNCUT),
    "StumpTracks-v1": ("stump_tracks", 2000, {**_UNCUT, "quirks": False}),
}
for _name, (_world, _steps, _options) in GYMNASIUM.items():
    register(
        f"lyceum/{_name}",
        entry_point=WORLDS[_world],
        max_episode_steps=_steps,
        kwargs=dict(_options),
    )
