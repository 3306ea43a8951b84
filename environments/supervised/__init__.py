"""Fixed supervised tasks."""
