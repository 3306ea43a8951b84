"""Students, found by name."""

STUDENTS = {
    "classifier": "students.supervised:Classifier",
    "ppo": "students.ppo:PPO",
    "synthetic": "students.synthetic:SyntheticStudent",
}
