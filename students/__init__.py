"""Students, found by name."""

STUDENTS = {
    "classifier": "students.supervised:Classifier",
    "ppo": "students.ppo:PPO",
    "sac": "students.sac:SAC",
    "sb3": "students.stable_baselines:StableBaselines",
    "synthetic": "students.synthetic:SyntheticStudent",
}
