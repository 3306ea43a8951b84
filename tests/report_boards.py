"""Leaderboards for tests of the report, with whatever text the schemas let through."""

from benchmark import leaderboard, record, submissions
from benchmark.schema import Submission
from tests import factories

SCRIPT = "</script><script>window.obeyed = 1</script>"
EVIL = f"{SCRIPT}<img src=x onerror=window.obeyed=2> \" onclick='window.obeyed=3' {{{{ 7*7 }}}}"
LINKS = 'javascript:alert(3) data:text/html,x https://example.org/a?b=<i>&c="d'


def publish(boards, protocol, entries, **changes):
    """Entries and their board below ``boards``; ``changes`` replace fields of the board."""
    folder = boards / protocol.name
    for entry in entries:
        submissions.add_submission(folder, entry)
    board = leaderboard.build_board(protocol, entries)
    leaderboard.write_board(folder, board.model_copy(update=changes))


def poisoned(protocol, name, seeds, final, privileges=()):
    """An entry with markup in every field that may hold free text."""
    runs = []
    for seed in seeds:
        content = factories.make_content(protocol, name, seed, final=final, privileges=privileges)
        content["teacher"] |= {"reference": LINKS, "arguments": {EVIL[:70]: [EVIL, 1, None]}}
        content["provenance"] = {EVIL[:70]: EVIL, "processor": f"A {seed % 2}"}
        runs.append({"record": content, "costs": None})
    first = runs[0]["record"]
    content = {"schema": "submission/1", "protocol": first["protocol"], "runs": runs}
    return record.validate(Submission, content | {"teacher": first["teacher"]}, name)


def hostile_boards(folder):
    """Two boards in ``folder / "boards"``; one of them lacks the reference teacher."""
    digits, cubes = factories.supervised_protocol(), factories.procedural_protocol()
    entries = [
        factories.make_submission(digits, "uniform", range(10), folder / "runs", final=0.7),
        factories.make_submission(digits, "alp_gmm", range(5), folder / "runs", final=0.8),
        poisoned(digits, "x=[1,2].py", range(10), 0.75, ("prior", "probe")),
    ]
    publish(folder / "boards", digits, entries, notes=[EVIL], verdict=[EVIL, LINKS])
    publish(folder / "boards", cubes, [poisoned(cubes, "Uniform", range(3), 0.6)])
    return folder / "boards"
