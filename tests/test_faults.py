"""Kills, flipped bits and full disks: nothing finished is lost, records stay the same."""

import random
import shutil
import subprocess
import sys
import time

import pytest

from benchmark.errors import LyceumError
from benchmark.provenance import ROOT
from benchmark.run import as_json, execute
from tests.test_run import record_bytes, request

LOOPS = {  # one run of each loop, long enough to be killed several times
    "episodes": {"name": "tiny-stumps", "teacher": "alp_gmm"},
    "batches": {"name": "tiny-digits", "teacher": "self_paced"},
}


def start(wanted):
    command = [sys.executable, "-m", "benchmark.run", as_json(wanted)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)


def kill_again_and_again(wanted, kills, dice):
    """Kill a run's process at random moments, from its first checkpoint on, and start it anew."""
    done = 0
    while done < kills:
        child = start(wanted)
        begun = time.monotonic()
        while not list(wanted.folder.glob("checkpoint/*.npz")) and child.poll() is None:
            time.sleep(0.005)
        ready = time.monotonic() - begun
        time.sleep(dice.uniform(0.0, 0.3) if done == 0 else dice.uniform(0.8 * ready, 1.3 * ready))
        if child.poll() is not None:
            return done
        child.kill()
        child.wait()
        done += 1
    assert start(wanted).wait() == 0
    return done


@pytest.mark.slow
@pytest.mark.parametrize("loop", LOOPS)
def test_twenty_five_kills_at_random_moments_change_no_record(tmp_path, loop):
    straight = execute(request(tmp_path / "straight", **LOOPS[loop]))
    dice, kills, number = random.Random(5), 0, 0
    while kills < 25:
        number += 1
        wanted = request(tmp_path / str(number), **LOOPS[loop], checkpoint_seconds=0.0)
        kills += max(1, kill_again_and_again(wanted, 3, dice))
        if not (wanted.folder / "record.json").exists():
            execute(wanted)
        assert record_bytes(wanted.folder) == record_bytes(straight)
        assert number < 60


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, monkeypatch, damage):
    from benchmark.recorder import Recorder

    straight = execute(request(tmp_path / "straight"))
    wanted = request(tmp_path / "broken", checkpoint_seconds=0.0)
    original, calls = Recorder.on_progress, iter(range(1000))

    def on_progress(self, loop):
        original(self, loop)
        if next(calls) == 30:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "on_progress", on_progress)
        with pytest.raises(KeyboardInterrupt):
            execute(wanted)
    *_, older, newest = sorted(wanted.folder.glob("checkpoint/*.npz"))
    content = bytearray(newest.read_bytes())
    if damage == "flipped":
        content[random.Random(1).randrange(len(content))] ^= 16
    newest.write_bytes({"cut": content[: len(content) // 3], "emptied": b""}.get(damage, content))
    execute(wanted)
    assert record_bytes(wanted.folder) == record_bytes(straight)
    log = (wanted.folder / "log.jsonl").read_text("utf-8")
    assert f'"generation": {int(older.stem)}' in log.split('"continued"')[1]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 400 kB, or a skipped test where nobody may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a file system needs more rights")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_really_full_disk_loses_nothing_finished(small_disk):
    finished, full = [], None
    for seed in range(60):
        wanted = request(small_disk, seed=seed)
        try:
            execute(wanted)
        except LyceumError as error:
            full = str(error)
            break
        finished.append((wanted, record_bytes(wanted.folder)))
    assert full is not None and "the disk is full" in full
    assert finished and not (wanted.folder / "record.json").exists()
    resize = ["mount", "-o", "remount,size=8m", str(small_disk)]
    subprocess.run(resize, check=True)
    execute(wanted)  # with space again the same command gets through
    for earlier, content in finished:
        assert record_bytes(earlier.folder) == content
