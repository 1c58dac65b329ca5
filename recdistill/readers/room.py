"""Memory that text is read into, used again: new memory takes longer to get than to fill."""

from __future__ import annotations

import sys

HELD_HERE = 3  # references to a window: in the list, in the loop, and the question itself


class Room:
    """Windows for text, each used again when the chunk that held it is gone."""

    def __init__(self) -> None:
        self.made: list[bytearray] = []

    def free(self, size: int) -> bytearray:
        """A window of so many bytes that nothing else holds."""
        for window in self.made:
            if sys.getrefcount(window) == HELD_HERE and size < 2 * len(window):
                del window[size:]
                window.extend(bytes(size - len(window)))
                return window
        self.made.append(bytearray(size))
        return self.made[-1]
