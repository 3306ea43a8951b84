"""What a teacher may define beside ``propose`` and ``observe``, for supervised tasks.

``prepare`` and ``weigh`` are open to every teacher. The other two change what is compared, so a
teacher that defines one says so in its class fact ``changes``; records, boards and the catalogue
print it.

- ``prepare()``: once in a run, before the first proposal; the probe can be asked.
- ``weigh(batch) -> (n,)``: finite weights >= 0, asked between forward and backward. The batch holds
  "tasks" (n, ...), the detached "loss" (n,) and "logits" (n, classes), and "inputs" (n,
  *input_shape) for who declares that signal: what the student trains on in this very step.
- ``transform_loss(logits, targets, tasks) -> (n,)``, "objective" in ``changes``: the losses that
  the student descends in place of its cross-entropy, a ``torch.Tensor`` that can be differentiated
  by ``logits`` (n, classes) float32. ``targets`` (n,) are int64, ``tasks`` (n, ...) an array. The
  logits are a leaf of their own graph: the student's parameters are out of reach, and a teacher
  with parameters of its own takes their gradient and its step within the call. The harness
  multiplies by weights and averages, as it does with the cross-entropy. Outcomes, signals and
  scores stay those of the plain cross-entropy.
- ``adjust(progress) -> {name: number}``, "student" in ``changes``: settings of the student from now
  on, for example {"smoothing": 0.5}; a student without that setting ends the run. Called after each
  proposal, before its examples are trained on.
"""

from __future__ import annotations

CHANGES = ("objective", "student")
HOOKS = {"objective": "transform_loss", "student": "adjust"}


def undeclared(cls: type) -> str:
    """How a teacher's ``changes`` and its methods disagree, as a sentence; empty if they agree."""
    stated = getattr(cls, "changes", ())
    if not isinstance(stated, tuple) or not set(stated) <= set(CHANGES):
        return f"`changes` must be a tuple of words of {', '.join(CHANGES)}, but is {stated!r}"
    for word, method in HOOKS.items():
        defined = callable(getattr(cls, method, None))
        if defined and word not in stated:
            return f"{method}() changes the {word}: say so with changes = ({word!r},)"
        if word in stated and not defined:
            return f"`changes` names the {word}, but there is no {method}()"
    return ""
