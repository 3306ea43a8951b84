"""Ways to tamper with an entry, its file or a board, each with the reason that must be given."""

import copy
import gzip
import json
import os
import pickle

from benchmark.record import result_sha256
from benchmark.strict_json import format_json


def first(content):
    return content["runs"][0]["record"]


def evaluation(content):
    return first(content)["evaluation"]


def sign(content):
    """Give every run the hash that belongs to what it says now."""
    for run in content["runs"]:
        run["record"]["result_sha256"] = result_sha256(run["record"])


def everywhere(content, key, value):
    """Change what stands in the entry and in each of its records."""
    for part in (content, *(run["record"] for run in content["runs"])):
        target, *names = (part, *key.split("."))
        for name in names[:-1]:
            target = target[name]
        target[names[-1]] = value


def cells(change, signed=True):
    """Apply ``change`` to the evaluation of the first run."""

    def apply(content):
        change(evaluation(content))
        if signed:
            sign(content)

    return apply


def seed_of_another(content):
    """The second run once more under the number of the first."""
    content["runs"][0] = copy.deepcopy(content["runs"][1])
    first(content)["seed"] = 0


def swap_seeds(content):
    one, two = (run["record"] for run in content["runs"][:2])
    one["seed"], two["seed"] = two["seed"], one["seed"]
    content["runs"][:2] = content["runs"][1::-1]


def spend(name, value):
    def apply(content):
        first(content)["spent"][name] = value(first(content)["spent"][name])
        sign(content)

    return apply


def put(text):
    return lambda content: everywhere(content, "teacher.reference", text)


def rename_tasks(rows):
    rows["tasks"] = rows["tasks"][::-1]


def shift_counts(rows):
    rows["count_a"], rows["count_b"] = rows["count_b"], rows["count_a"]


def raise_last(rows):
    rows["success_a"][-1] = [0.99] * len(rows["success_a"][-1])


def raise_start(rows):
    rows["success_a"][0] = [1.0] * len(rows["success_a"][0])


TAMPERED = {
    "curve": (cells(raise_last, signed=False), "result_sha256: does not match"),
    "curve signed again": (cells(raise_last), "a share that no number of successes gives"),
    "start signed again": (cells(raise_start), "does not start as the untrained student"),
    "share above one": (cells(lambda e: e["success_b"][2].__setitem__(0, 1.5)), "shares in"),
    "negative share": (cells(lambda e: e["success_b"][2].__setitem__(0, -0.1)), "shares in"),
    "gain": (cells(lambda e: e["score_a"][2].__setitem__(0, 3.0)), "never above 0"),
    "huge score": (cells(lambda e: e["score_a"][0].__setitem__(0, -1e308)), "does not start"),
    "row cut": (cells(lambda e: e["score_a"].pop(), signed=False), "must have 5 rows"),
    "cell cut": (cells(lambda e: e["score_a"][1].pop(), signed=False), "rows of 10 numbers"),
    "text for a number": (cells(lambda e: e["score_a"][1].__setitem__(0, "9"), False), "valid num"),
    "tasks renamed": (cells(rename_tasks), "are not the held-out tasks"),
    "task with markup": (cells(lambda e: e["tasks"].__setitem__(0, "<b>")), "holds markup"),
    "counts": (cells(shift_counts), "other numbers of episodes or examples"),
    "zero counts": (cells(lambda e: e.update(count_a=[0] * 10, count_b=[0] * 10)), "at least one"),
    "grid": (lambda c: first(c)["grid"].__setitem__(1, 7), "result_sha256: does not match"),
    "grid signed again": (
        lambda c: (first(c)["grid"].__setitem__(1, 7), sign(c)),
        "grid: differs from the grid",
    ),
    "grid backwards": (lambda c: first(c)["grid"].reverse(), "must start at 0 and increase"),
    "seed": (lambda c: first(c).update(seed=5), "must be sorted by seed"),
    "seed not listed": (lambda c: c["runs"][-1]["record"].update(seed=77), "77 is not a seed of"),
    "seed negative": (lambda c: first(c).update(seed=-1), "greater than or equal to 0"),
    "seed of another": (seed_of_another, "seed 0: evaluation: does not start as the untrained"),
    "seeds swapped": (swap_seeds, "seed 1: evaluation: does not start as the untrained"),
    "last seed renamed": (lambda c: c["runs"][-1]["record"].update(seed=4), "seed 4: evaluation"),
    "fingerprint": (
        lambda c: everywhere(c, "protocol.fingerprint", "0" * 64),
        "protocol.fingerprint: belongs to another version",
    ),
    "one fingerprint": (
        lambda c: first(c)["protocol"].update(fingerprint="0" * 64),
        "runs.0.record.protocol: differs",
    ),
    "short fingerprint": (lambda c: everywhere(c, "protocol.fingerprint", "0"), "String should"),
    "protocol": (lambda c: everywhere(c, "protocol.name", "tiny"), "protocol.name: must be tiny-d"),
    "protocol path": (lambda c: everywhere(c, "protocol.name", "../x"), "protocol.name: String"),
    "smoke run": (lambda c: first(c).update(status="smoke"), "smoke runs are never compared"),
    "overspent": (spend("student", lambda v: [*v[:-1], 9999]), "spent.student: together with"),
    "underspent": (spend("student", lambda v: [0] * len(v)), "spent.student: together with"),
    "falling bill": (spend("updates", lambda v: v[::-1]), "must never fall"),
    "bill without passes": (spend("teacher", lambda v: [0.0, *[9.0] * 4]), "does not match spent"),
    "questions not declared": (
        lambda c: (
            first(c)["spent"].update(teacher=[0.0, *[3.0] * 4], forward=[0, *[9] * 4]),
            sign(c),
        ),
        "declares no question was billed",
    ),
    "privilege": (
        lambda c: everywhere(c, "teacher.privileges", ["knowledge:high"]),
        "tiny-digits forbids knowledge:high",
    ),
    "one teacher": (lambda c: first(c)["teacher"].update(arguments={"a": 1}), "differs from the s"),
    "unknown key": (lambda c: c.update(score=0.99), "score: Extra inputs are not permitted"),
    "unknown key in a run": (lambda c: c["runs"][0].update(code="x"), "runs.0.code: Extra inputs"),
    "no runs": (lambda c: c.update(runs=[]), "runs: List should have at least 1"),
    "schema": (lambda c: c.update(schema="submission/9"), "schema"),
    "script in a name": (
        lambda c: everywhere(c, "teacher.name", "<script>alert(1)</script>"),
        "teacher.name: String should match",
    ),
    "path in a name": (lambda c: everywhere(c, "teacher.name", "../../x"), "teacher.name: String"),
    "script in a reference": (put("<script>alert(1)</script>"), "teacher.reference: holds markup"),
    "escape in a reference": (put("\x1b[2J"), "must be printable"),
    "reversed text": (put("\u202eevil"), "must be printable"),
    "long reference": (put("x" * 301), "at most 300 characters"),
    "script in an author": (
        lambda c: c["about"].update(authors=["<script>"]),
        "must be plain text",
    ),
    "script in a paper": (lambda c: c["about"].update(paper="javascript:x"), "must be plain text"),
    "class": (lambda c: c["about"].update({"class": "os.system"}), "about.class: String should"),
    "markup in provenance": (
        lambda c: first(c)["provenance"].update(processor="<img>"),
        "provenance.processor: holds markup",
    ),
    "made on a GPU": (
        lambda c: first(c)["provenance"].update(device="cuda: NVIDIA H200"),
        "provenance.device: is cuda: NVIDIA H200; published results are made on the CPU",
    ),
    "no provenance": (lambda c: first(c).update(provenance={}), "provenance: lacks box2d"),
    "negative costs": (lambda c: c["runs"][0]["costs"].update(wall=-1.0), "costs.wall"),
}


class Bomb:
    """Creates a file when it is unpickled."""

    def __reduce__(self):
        return (open, ("exploded", "w"))


def sparse(path):
    with open(path, "wb") as file:
        file.truncate(200_000_000)


def packed_bomb(path):
    path.write_bytes(gzip.compress(b" " * 60_000_000, 1))


def text(old, new):
    return lambda path: path.write_text(path.read_text("utf-8").replace(old, new, 1), "utf-8")


FILES = {
    "200 MB": ("mine.json", sparse, "200000000 bytes long; at most 50000000"),
    "packed bomb": ("mine.json.gz", packed_bomb, "unpacks to more than 50000000"),
    "pickle": ("mine.json", lambda p: p.write_bytes(pickle.dumps(Bomb())), "not UTF-8"),
    "pickle by name": ("mine.pkl", lambda p: p.write_bytes(pickle.dumps(Bomb())), "pickles never"),
    "other name": ("yours.json", lambda p: None, "the file must be called mine.json"),
    "link": ("mine.json", lambda p: (p.unlink(), p.symlink_to("/dev/zero")), "a regular file"),
    "pipe": ("mine.json", lambda p: (p.unlink(), os.mkfifo(p)), "a regular file"),
    "folder": ("mine.json", lambda p: (p.unlink(), p.mkdir()), "a regular file"),
    "nothing": ("mine.json", lambda p: p.unlink(), "cannot be read"),
    "empty": ("mine.json", lambda p: p.write_bytes(b""), "not JSON"),
    "a list": ("mine.json", lambda p: p.write_text("[]"), "should be a valid dictionary"),
    "NaN": ("mine.json", text('"wall": ', '"wall": NaN, "x": '), "NaN is not allowed"),
    "infinity": ("mine.json", text('"wall": ', '"wall": 1e999, "x": '), "is not finite"),
    "key twice": ("mine.json", text('"runs"', '"schema": "x", "runs"'), "'schema' occurs twice"),
    "huge integer": ("mine.json", text('"seed": 0', '"seed": ' + "9" * 5000), "5000 digits"),
    "nesting": ("mine.json", lambda p: p.write_text("[" * 9000 + "]" * 9000), "levels of nesting"),
    "cut off": ("mine.json", lambda p: p.write_bytes(p.read_bytes()[:-20]), "not JSON"),
}


def table(change):
    def apply(place):
        path = place / "leaderboard.json"
        content = json.loads(path.read_text("utf-8"))
        change(content)
        path.write_text(format_json(content), "utf-8")

    return apply


BOARDS = {
    "score": (table(lambda c: c["rows"][0]["area"].update(value=0.99)), "area: says 0.99"),
    "rank": (table(lambda c: c["rows"][0].update(rank={"low": 1, "high": 1})), "rank: says"),
    "row removed": (table(lambda c: c["rows"].pop()), "has no row"),
    "row added": (
        table(
            lambda c: c["rows"].append(
                {**c["rows"][0], "teacher": {**c["rows"][0]["teacher"], "name": "ghost"}}
            )
        ),
        "ghost: has a row but no sound entry",
    ),
    "budget": (table(lambda c: c.update(budget=1)), "budget: is not what the entries give"),
    "verdict": (table(lambda c: c.update(verdict=["mine wins"])), "verdict: is not what"),
    "no table": (lambda place: (place / "leaderboard.json").unlink(), "cannot be read"),
    "Markdown": (
        lambda place: (place / "leaderboard.md").write_text("<script>"),
        "leaderboard.md: is not what the entries give",
    ),
    "pickle": (lambda place: (place / "a.pkl").write_bytes(pickle.dumps(Bomb())), "only files end"),
    "code": (lambda place: (place / "a.py").write_text("import os"), "only files ending in"),
    "200 MB of text": (lambda place: sparse(place / "notes.md"), "is longer than 50000000"),
    "entry removed": (
        lambda place: (place / "easy_first.json").unlink(),
        "easy_first: has a row but no sound entry",
    ),
}
