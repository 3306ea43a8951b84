"""The table of claims: in the terminal, on the docs' page, and one claim with all its contrasts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from benchmark.board import escape_markdown
from benchmark.claim import Claim, load_claims
from benchmark.claim_verdicts import Finding, judge
from benchmark.commands import exit_code, summarise
from benchmark.errors import LyceumError
from benchmark.plan import make_plan, summary
from benchmark.run import RunRequest
from benchmark.statistics import Interval
from benchmark.sweep import sweep
from benchmark.watch import SweepProgress

HEADINGS = ("id", "claim", "preset", "task", "strongest control", "effect", "verdict", "command")
PAGE = """# What becomes of the claims of the founding papers

Written by `python -m benchmark.claim_table`, also to be had as `lyceum claims`. Every paper of the
suite's founding list has a row, some have more. Each row is a file of
[benchmark/claims](../benchmark/claims) that says what is claimed, with which preset, under which
protocol and against which controls it is tested, or why it is not. No file holds a result.

{table}

{counts}

## How a verdict comes about

- **Arms.** The preset and all its controls train under one protocol with the same seeds, at least
  ten. A seed decides training set, untrained student and evaluation, so arms are compared seed by
  seed. The learning rate belongs to the protocol and is the same for all.
- **Controls.** *Uniform*: no curriculum. *Reverse*: the opposite direction. *Random order*: the
  same pacing over a meaningless order. *Matched exposure*: each item as often as with the preset,
  but spread evenly over time. *Matched compute*: the same cost. A control that is missing from a
  row has its reason there (`lyceum claims show S11`). "Other" is a baseline of the paper itself.
- **Effect.** The mean of preset minus the strongest control, the one with the highest mean, with a
  95 % bootstrap interval over seeds (expanded percentiles), in points: hundredths of the
  protocol's normalised score. The final score is the mean of the last evaluations, never a best
  one.
- **Established** is a difference whose interval excludes zero and whose p-value (Student's for
  pairs) is below 0.05 after Holm's correction over the controls of the row.
- **reproduced**: established above every control. **reproduced against uniform only**: above
  uniform, not above every other. **reversed**: not so, and established below uniform or below the
  strongest control. **null**: none of these. **not run yet**: records are missing. **not built
  yet**: the suite lacks the named parts. **not testable in the small**: with the reason.
- Every row is a family of its own: among twenty rows without any effect one would still be expected
  to show one somewhere.
- A row says something about a small task that was built to be able to show the effect, not about
  the paper's own setting; what is lost is told by `lyceum claims show`.
- Rows were not tuned on the seeds that they are judged by.

`lyceum claims run S11` trains what is missing, `lyceum claims run --all` does so for all rows, and
both continue where they were stopped. `lyceum leaderboard PROTOCOL --add runs` adds the runs to the
published records.
"""


def effect_text(effect: Interval) -> str:
    """For example +1.2 [0.4, 2.1], in points."""
    value, low, high = (100 * number for number in (effect.value, effect.low, effect.high))
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"


def cells(finding: Finding) -> tuple[str, ...]:
    """One row of the table, see ``HEADINGS``."""
    claim, best = finding.claim, finding.strongest
    if claim.test is None:
        return claim.id, f"{claim.title}: {claim.claim}", "–", "–", "–", "–", finding.verdict, "–"
    test = claim.test
    return (
        claim.id,
        f"{claim.title}: {claim.claim}",
        f"{test.preset.name} ({test.preset.teacher})",
        test.protocol,
        "–" if best is None else f"{best.control.name} ({best.control.kind})",
        "–" if best is None else effect_text(best.effect),
        finding.verdict,
        f"lyceum claims run {claim.id}",
    )


def print_claims(console: Console, runs: Path | None) -> None:
    """Print one line per paper: what is tested as a table, then what is not and why."""
    findings = [judge(claim, runs) for claim in load_claims()]
    table = Table(title="Claims", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("id", "paper", *HEADINGS[2:-1]):
        table.add_column(heading, no_wrap=heading in ("id", "task", "effect"))
    for finding in findings:
        if finding.claim.test is not None:
            row = cells(finding)
            table.add_row(row[0], finding.claim.title, finding.claim.test.preset.name, *row[3:-1])
    console.print(table)
    for finding in findings:
        if finding.claim.test is None:
            line = f"{finding.claim.id}  {finding.claim.title}: {finding.verdict}"
            console.print(line, highlight=False, markup=False, soft_wrap=True)
    told = "lyceum claims show ID tells more, lyceum claims run ID trains what a row lacks"
    console.print(f"\n{counts_text(findings)} {told}", highlight=False, soft_wrap=True)


def markdown(findings: Iterable[Finding]) -> str:
    """The table as Markdown."""
    lines = ["| " + " | ".join(HEADINGS) + " |", "|---" * len(HEADINGS) + "|"]
    for finding in findings:
        *texts, command = map(escape_markdown, cells(finding))
        command = command if command == "–" else f"`{command}`"
        lines.append("| " + " | ".join([*texts, command]) + " |")
    return "\n".join(lines)


def print_page() -> None:
    """Print ``docs/claims.md``: published records only."""
    findings = [judge(claim) for claim in load_claims()]
    print(PAGE.format(table=markdown(findings), counts=counts_text(findings)), end="")


def counts_text(findings: Iterable[Finding]) -> str:
    """How many rows have which verdict, in a sentence."""
    findings = list(findings)
    papers = len({finding.claim.id[:3] for finding in findings})
    kinds = Counter(finding.verdict.split(":")[0].split(",")[0] for finding in findings)
    told = ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())
    return f"{papers} papers, {kinds.total()} rows: {told}."


def print_claim(console: Console, name: str, runs: Path | None) -> None:
    """Print one claim with its arms, contrasts and what is lost in the small."""
    (claim,) = load_claims([name])
    finding = judge(claim, runs)

    def say(text: str = "") -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    say(f"{claim.id}: {claim.title}")
    say(f"reference: {claim.reference}")
    say(f"claim: {claim.claim}")
    say(f"lost in the small: {claim.lost}")
    if claim.waits is not None:
        say(f"plan: {claim.waits.plan}")
    if claim.test is not None:
        _print_test(console, say, claim, finding)
    say(f"verdict: {finding.verdict}")


def _print_test(console: Console, say: Callable[..., None], claim: Claim, finding: Finding) -> None:
    test = claim.test
    counted = f", held-out tasks {test.held_out} only" if test.held_out else ""
    say(f"protocol: {test.protocol}, {test.measure} score{counted}, {test.seeds} paired seeds")
    say()
    for arm in test.arms:
        kind = getattr(arm, "kind", "preset")
        options = ", ".join(f"{k} = {v}" for k, v in arm.arguments.items()) or "defaults"
        say(f"  {arm.name} ({kind}): {arm.about}")
        say(f"      {arm.teacher}: {options}")
    for kind, reason in test.without.items():
        say(f"  no control '{kind}': {reason}")
    say()
    if not finding.contrasts:
        told = ", ".join(f"{name} {count}" for name, count in finding.missing.items())
        say(f"runs without a record: {told}")
        return
    table = Table(title="Preset minus control, in points", title_justify="left")
    for heading in ("control", "kind", "mean", "effect", "Holm p", "established"):
        table.add_column(heading)
    for found in finding.contrasts:
        p = "–" if found.p is None else f"{found.p:.2g}"
        known = {1: "above", -1: "below", 0: "no"}[found.sign]
        mean, effect = f"{100 * found.mean:.1f}", effect_text(found.effect)
        table.add_row(found.control.name, found.control.kind, mean, effect, p, known)
    console.print(table)
    say(f"mean of the preset: {100 * finding.preset:.1f}")


def run_claims(
    console: Console, names: list[str], every: bool, *, workers: int, **options: bool | Path
) -> int:
    """Train the runs that the named rows lack, then print what they say; return an exit code.

    Published arms are not trained again unless ``fresh``.

    Raises:
        LyceumError: neither names nor ``every``, both of them, or a row that is not tested.
    """
    if bool(names) == every:
        raise LyceumError("name the claims to run, for example S11, or give --all")
    runs, fresh = Path(options["runs"]), bool(options["fresh"])
    claims = load_claims(None if every else names)
    claims = [claim for claim in claims if claim.test is not None or not every]
    requests: dict[Path, RunRequest] = {}  # arms without arguments may belong to several rows
    for claim in claims:
        arms = claim.requests(runs)
        lacking = arms if fresh else judge(claim, runs).missing
        requests |= {request.folder: request for name in lacking for request in arms[name]}
    code = 0
    if requests:
        plan = make_plan(list(requests.values()))
        console.print(summary(plan, workers), highlight=False, soft_wrap=True)
        with SweepProgress(console, plan.requests) as progress:
            results = sweep(
                plan.requests,
                workers=workers,
                watch=progress.watch,
                retry_failed=bool(options["retry_failed"]),
                fresh=fresh,
            )
        summarise(console, results)
        code = exit_code(results)
    for claim in claims:
        finding = judge(claim, runs)
        best = finding.strongest
        text = "" if best is None else f" ({effect_text(best.effect)} against {best.control.name})"
        console.print(f"{claim.id} {claim.title}: {finding.verdict}{text}", highlight=False)
    return code


if __name__ == "__main__":
    print_page()
