"""The page of `transfer.py`, made from the committed cells alone."""

from pathlib import Path


def write_page(cells: Path, out: Path) -> None:
    pass
