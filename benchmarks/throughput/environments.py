"""Virtual environments of the peers: made once, taken again where they are whole."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from recdistill.artefacts import read_json, write_json

MARK = "made_for.json"


def requirements_of(named: Sequence[str]) -> list[str]:
    """A peer's requirements, and this interpreter's release of torch, so that no other build of it is drawn in."""
    return [f"torch=={version('torch').partition('+')[0]}", *named]


def environment(folder: Path, requirements: Sequence[str]) -> Path:
    """The interpreter of a virtual environment that has what is required.

    Args:
        folder: its place. What is there is taken if it was made for the same, and made anew if for something else or
            not to the end.
        requirements: as pip takes them.

    Raises:
        SystemExit: something else is in its place, or pip failed; its own words stand above.
    """
    python, mark = folder / "bin" / "python", folder / MARK
    wanted = {"python": platform.python_version(), "requirements": list(requirements), "whole": True}
    if folder.exists() and any(folder.iterdir()) and not mark.is_file():
        raise SystemExit(f"an environment's folder must be absent, empty or made by this script, got {folder}")
    if mark.is_file() and read_json(mark) == wanted:
        return python
    print(f"making {folder} with {' '.join(requirements)}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    write_json(mark, {**wanted, "whole": False})
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    done = subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements], check=False)
    if done.returncode:
        raise SystemExit(f"pip could not install {' '.join(requirements)}; its own words stand above")
    write_json(mark, wanted)
    return python
