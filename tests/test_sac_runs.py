"""Runs of a student with a large memory: whole or continued, they end in the same record."""

import random

from benchmark import checkpoint
from benchmark.run import execute
from tests.test_run import execute_with_failures, record_bytes, request


def test_a_run_that_dies_at_random_moments_ends_with_the_same_record(tmp_path, monkeypatch):
    whole = execute(request(tmp_path / "whole", "tiny-sac", "plr_value"))
    broken = request(tmp_path / "broken", "tiny-sac", "plr_value", checkpoint_seconds=0.0)
    deaths = execute_with_failures(broken, monkeypatch, random.Random(3))
    assert deaths > 5
    assert record_bytes(whole) == record_bytes(broken.folder)


def test_a_damaged_memory_is_noticed_and_the_record_stays_the_same(tmp_path, monkeypatch):
    whole = execute(request(tmp_path / "whole", "tiny-sac"))
    broken = request(tmp_path / "broken", "tiny-sac", checkpoint_seconds=0.0)
    harmed = []

    class Unlucky(random.Random):
        """Dies every 20 steps and finds, once, the newest rows of the memory changed."""

        def randrange(self, *_):
            folder = broken.folder / "checkpoint"
            files = sorted(folder.glob("*.rows")) if folder.exists() else []
            states = list(checkpoint.states(folder)) if folder.exists() else []
            if files and len(states) == 2 and not harmed:
                raw = bytearray(files[-1].read_bytes())
                raw[-1] ^= 1
                files[-1].write_bytes(raw)
                harmed.append(states[0]["student"]["steps"] - states[1]["student"]["steps"])
            return 20

    deaths = execute_with_failures(broken, monkeypatch, Unlucky())
    assert deaths > 5 and harmed and harmed[0] > 0
    assert record_bytes(whole) == record_bytes(broken.folder)


def test_a_checkpoint_only_refers_to_the_memory(tmp_path, monkeypatch):
    wanted = request(tmp_path, "tiny-sac", checkpoint_seconds=0.0)
    sizes = []
    save = checkpoint.save
    monkeypatch.setattr(
        checkpoint, "save", lambda *rest: save(*rest) or sizes.append(rest[2]["student"]["memory"])
    )
    execute(wanted)
    assert sizes and all("rows" not in memory and memory["segments"] for memory in sizes[1:])
