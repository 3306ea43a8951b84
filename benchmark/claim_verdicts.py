"""Verdicts on claims, computed from records: paired differences of a preset and its controls.

Runs with the same seed share the training set, the untrained student and the evaluation, so each
arm is compared with the preset seed by seed. Of the d_i = preset_i - control_i the mean is shown
with its bootstrap interval (expanded percentiles, Hesterberg 2015); the p-value is Student's for
pairs, corrected by Holm over the controls of the row. A difference is established if the interval
excludes zero and the corrected p-value is below 1 - confidence: with ten seeds either of them
alone is a little too kind.

- ``reproduced``: established above every control;
- ``reproduced against uniform only``: established above uniform, not above every other control;
- ``reversed``: not so, and established below uniform or below the strongest control;
- ``null``: none of these.

The strongest control is the one with the highest mean. Each row is a family of its own, so among
many rows without any effect about one in twenty would still show one somewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.claim import Arm, Claim, Control, Trial, why_not
from benchmark.commands import run_folders
from benchmark.differences import paired_difference
from benchmark.errors import LyceumError
from benchmark.metrics import score_run, task_curves
from benchmark.protocol import Protocol
from benchmark.provenance import BOARDS
from benchmark.record import read_run, read_submission
from benchmark.schema import RunRecord
from benchmark.statistics import Interval, bootstrap_interval, holm, significant

REPRODUCED, ONLY, NULL = "reproduced", "reproduced against uniform only", "null"
REVERSED, NOT_RUN = "reversed", "not run yet"


@dataclass(frozen=True)
class Contrast:
    """A preset minus one of its controls: mean with interval, corrected p-value, both means."""

    control: Control
    effect: Interval
    p: float | None
    sign: int  # 1 or -1 if established, else 0
    mean: float


@dataclass(frozen=True)
class Finding:
    """What the records say about a claim.

    ``contrasts`` are in the order of the row, empty while records are missing; ``missing`` counts
    the runs that lack a record by the name of their arm.
    """

    claim: Claim
    verdict: str
    contrasts: list[Contrast]
    preset: float | None
    missing: Mapping[str, int]

    @property
    def strongest(self) -> Contrast | None:
        """The contrast to the control with the highest mean; None while records are missing."""
        return max(self.contrasts, key=lambda found: found.mean, default=None)


def judge(claim: Claim, runs: Path | None = None, boards: Path = BOARDS) -> Finding:
    """Compute the verdict on a claim from published records and, if given, from finished runs.

    Raises:
        LyceumError: a record is damaged, or does not belong to the row's protocol.
    """
    if claim.test is None:
        return Finding(claim, why_not(claim), [], None, {})
    protocol, test = claim.protocol, claim.test
    seeds = protocol.statistics.seeds[: test.seeds]
    found = {arm.name: scores_of(claim, arm, runs, boards) for arm in test.arms}
    missing = {name: n for name, s in found.items() if (n := len(set(seeds) - set(s)))}
    if missing:
        return Finding(claim, NOT_RUN, [], None, missing)
    columns = {name: np.array([scores[seed] for seed in seeds]) for name, scores in found.items()}
    contrasts = contrast(protocol, test, columns)
    verdict = verdict_on(contrasts)
    return Finding(claim, verdict, contrasts, float(columns[test.preset.name].mean()), {})


def contrast(protocol: Protocol, test: Trial, columns: Mapping[str, np.ndarray]) -> list[Contrast]:
    """Compare the preset with each control, given paired scores (n,) by the arms' names."""
    block, preset = protocol.statistics, columns[test.preset.name]
    pairs = [
        paired_difference([preset], [columns[control.name]], block.confidence)
        for control in test.controls
    ]
    corrected = holm([pair.p for pair in pairs])
    found = []
    for control, pair, p in zip(test.controls, pairs, corrected, strict=True):
        gaps = preset - columns[control.name]
        effect = bootstrap_interval(
            [gaps],
            lambda samples: np.mean(samples[0], axis=-1),
            block.confidence,
            block.resamples,
            block.bootstrap_seed,
        )
        clear = effect.low * effect.high > 0 and significant(pair.kind, p, block.confidence)
        sign = int(np.sign(effect.value)) if clear else 0
        found.append(Contrast(control, effect, p, sign, float(columns[control.name].mean())))
    return found


def verdict_on(contrasts: Iterable[Contrast]) -> str:
    """The verdict that follows from all contrasts of a row; see the module's first lines."""
    contrasts = list(contrasts)
    plain = [found.sign for found in contrasts if found.control.kind == "uniform"]
    strongest = max(contrasts, key=lambda found: found.mean)
    if all(found.sign > 0 for found in contrasts):
        return REPRODUCED
    if min(plain) > 0:
        return ONLY
    return REVERSED if min(*plain, strongest.sign) < 0 else NULL


def scores_of(claim: Claim, arm: Arm, runs: Path | None, boards: Path = BOARDS) -> dict[int, float]:
    """The score of every recorded run of an arm by its seed; your own runs count before published.

    Raises:
        LyceumError: a record is damaged, or an arm's name stands for other arguments.
    """
    label, protocol = claim.label(arm), claim.protocol
    records = {run.seed: run for run in _published(protocol, label, boards)}
    if runs is not None:
        for folder in run_folders(protocol, runs).get(label, []):
            record, _ = read_run(folder, protocol)
            records[record.seed] = record
    for record in records.values():
        if record.teacher.arguments != arm.arguments:
            raise LyceumError(
                f"{claim.id}: the records of {label} under {protocol.name} were made with the "
                f"arguments {record.teacher.arguments}, but the row says {arm.arguments}; run them "
                "again with --fresh, or remove them"
            )
    return {seed: score(record, protocol, claim.test) for seed, record in records.items()}


def score(record: RunRecord, protocol: Protocol, test: Trial) -> float:
    """The score of a run that a row asks for, in normalised units, higher is better."""
    if not test.held_out:
        return float(getattr(score_run(record, protocol), test.measure))
    curves = task_curves(record, protocol)
    if max(test.held_out) >= curves.shape[1]:
        raise LyceumError(
            f"held_out: {protocol.name} has {curves.shape[1]} held-out tasks, counted from 0, but "
            f"the row asks for {test.held_out}"
        )
    return float(curves[-protocol.score.final_window :, test.held_out].mean())


def _published(protocol: Protocol, label: str, boards: Path) -> list[RunRecord]:
    """The records of one published entry; none if it is not there."""
    for path in (boards / protocol.name / f"{label}{ending}" for ending in (".json", ".json.gz")):
        if path.is_file():
            return [run.record for run in read_submission(path, protocol).runs]
    return []
