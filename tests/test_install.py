"""The package as users get it: a wheel that holds every module and says what it needs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.install


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Built from a copy: setuptools leaves its intermediate files beside the source.
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT / "recdistill", folder / "recdistill", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("recdistill-*.whl"))


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def test_wheel_holds_every_module_and_the_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    modules = {str(p.relative_to(ROOT)) for p in (ROOT / "recdistill").rglob("*.py")}
    assert modules - held == set()
    assert "recdistill/py.typed" in held
    assert any(name.endswith("/LICENSE") for name in held)
    assert not any(name.startswith(("tests/", "benchmarks/", "shims/")) for name in held)


def test_wheel_needs_torch_as_a_range_and_pins_torchrec_as_a_set(wheel: Path) -> None:
    needs = metadata(wheel).get_all("Requires-Dist") or []
    core = [n for n in needs if "extra ==" not in n]
    torchrec = {n.split(";")[0].strip() for n in needs if 'extra == "torchrec"' in n}
    assert not any("==" in n for n in core), "core dependencies are ranges"
    assert torchrec == {"torch==2.13.*", "torchrec==1.8.0", "fbgemm-gpu==1.8.0"}


def test_environment_is_consistent() -> None:
    done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_environment_holds_torchrec() -> None:
    """Where the package is installed for all its tests none is skipped for want of it."""
    code = "import torchrec, fbgemm_gpu"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
