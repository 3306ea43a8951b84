"""Rules that several students of procedural worlds share."""

from __future__ import annotations

from gymnasium import spaces


def crosses(every: int | None, before: int, after: int) -> bool:
    """Whether a count that went from ``before`` to ``after`` passed a multiple of ``every``.

    None and 0 mean never.
    """
    return bool(every) and before // every < after // every


def check_spaces(
    who: str, observations: spaces.Space, actions: spaces.Space, bounded: bool = True
) -> None:
    """Refuse spaces that are no one-dimensional boxes, and actions without bounds if ``bounded``.

    Raises:
        ValueError: one sentence that begins with ``who``.
    """
    for name, space in (("observation", observations), ("action", actions)):
        if not isinstance(space, spaces.Box) or len(space.shape) != 1:
            raise ValueError(
                f"{who} expects a one-dimensional Box as {name} space, but got {space}"
            )
    if bounded and not (actions.is_bounded() and (actions.low < actions.high).all()):
        raise ValueError(f"{who} expects a bounded action space, but got {actions}")
