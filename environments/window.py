"""A window for pictures, for watching a world play. It needs pygame, the extra ``human``.

A process shows one such window at a time, the latest: pygame knows a single display.
"""

from __future__ import annotations

import os

import numpy as np
from gymnasium.error import DependencyNotInstalled, Error


class Window:
    """Shows pictures at the pace of real time.

    Args:
        title: what the title bar says.
        picture_shape: (height, width, 3) of the pictures.
        fps: pictures per second; ``show`` waits so that there are no more.

    Attributes:
        closed: whether the user, ``close`` or a later window has closed it; what is shown then is
            ignored.

    Raises:
        DependencyNotInstalled: pygame is not installed.
        Error: this machine has no display on which a window could be opened.
    """

    def __init__(self, title: str, picture_shape: tuple[int, ...], fps: int):
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # it greets on standard output
        try:
            import pygame
        except ImportError as error:
            raise DependencyNotInstalled(
                "watching a world needs pygame, which is not installed; "
                "run: pip install lyceum[human]"
            ) from error
        self._pygame = pygame
        height, width = picture_shape[:2]
        self._size = (width, height)
        try:
            pygame.display.init()
            pygame.display.set_mode(self._size)
        except pygame.error as error:
            raise Error(
                f"a window cannot be opened ({error}); without a display, take pictures with "
                'render_mode="rgb_array" instead'
            ) from error
        pygame.display.set_caption(title)
        self._clock = pygame.time.Clock()
        self._fps = fps
        self.closed = False

    def show(self, picture: np.ndarray) -> None:
        """Show ``picture``, uint8 of the window's shape, for 1 / fps seconds.

        When the window has been closed, nothing happens, without a wait.
        """
        if self.closed:
            return
        pygame = self._pygame
        screen = pygame.display.get_surface()
        if screen is None or screen.get_size() != self._size:
            self.closed = True
            return
        if any(event.type == pygame.QUIT for event in pygame.event.get()):
            self.close()
            return
        pygame.surfarray.blit_array(screen, picture.swapaxes(0, 1))
        pygame.display.flip()
        self._clock.tick(self._fps)

    def close(self) -> None:
        """Close the window; closing twice is fine."""
        if not self.closed:
            self.closed = True
            self._pygame.display.quit()
