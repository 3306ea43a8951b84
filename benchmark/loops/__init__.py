"""The training loops: read these first."""
