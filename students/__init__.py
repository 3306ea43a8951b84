"""Students, found by name."""

STUDENTS = {
    "classifier": "students.supervised:Classifier",
    "ppo": "students.ppo:PPO",
    "sac": "students.sac:SAC",
    "synthetic": "students.synthetic:SyntheticStudent",
}
