"""The only place where teachers, students and environments meet."""
