"""Procedural worlds and supervised tasks, found by name."""

WORLDS = {
    "hypercube": "environments.hypercube:Hypercube",
    "parkour": "environments.box2d.parkour:Parkour",
    "stump_tracks": "environments.box2d.stump_tracks:StumpTracks",
}
TASKS = {
    "digits": "environments.supervised.digits:Digits",
}
