"""The package as users get it: a wheel that holds every module and says what it needs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.install


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy: setuptools leaves its intermediate files beside the source."""
    folder = tmp_path_factory.mktemp("sources")
    shutil.copytree(ROOT / "recdistill", folder / "recdistill", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture(scope="module")
def wheel(sources: Path) -> Path:
    return wheel_of(sources, sources)


def wheel_of(what: Path, folder: Path) -> Path:
    """The wheel that pip makes of a folder or an sdist."""
    carried_out(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, what)
    return next(folder.glob("recdistill-*.whl"))


def carried_out(*command: str | Path, within: Path = ROOT) -> str:
    """What a command prints; it must not fail."""
    done = subprocess.run(command, cwd=within, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


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


def test_a_student_is_served_without_torch(wheel: Path, tmp_path: Path) -> None:
    """In an environment of requirements-serving.txt alone it scores a file as it does here."""
    pytest.importorskip("onnxscript")
    import pyarrow as pa
    import pyarrow.parquet as pq

    import recdistill as rd
    from recdistill.transforms import Hashing

    _, target = rd.datasets.synthetic.load(seed=0, source_rows=100, target_rows=3_000)
    encoder = rd.Encoder.fit(target, {"region": Hashing(5)})
    student = rd.Ranker(encoder, rd.models.build("deepfm", encoder.spec, seed=0, arguments={"embedding_dim": 4}))
    rd.export(student, tmp_path / "student", rows=target)
    pq.write_table(target.arrow, tmp_path / "rows.parquet")
    here = rd.Scorer.load(tmp_path / "student").predict(target.arrow)
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    for asked in (["-r", str(ROOT / "requirements-serving.txt")], ["--no-deps", str(wheel)]):
        done = subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *asked],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    code = (
        "import importlib.util as u\n"
        "assert not [name for name in ('torch', 'pandas', 'pydantic', 'scipy') if u.find_spec(name)]\n"
        "from recdistill.serving import Scorer, score_file\n"
        "score_file(Scorer.load('student'), 'rows.parquet', 'scores.parquet')"
    )
    done = subprocess.run([python, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert pq.read_table(tmp_path / "scores.parquet")["score"].equals(pa.chunked_array([here]))


@pytest.mark.timeout(1200)  # most of it is torch's download
def test_the_wheel_of_the_sdist_runs_the_demo_in_an_empty_environment(sources: Path, tmp_path: Path) -> None:
    carried_out(sys.executable, "-m", "venv", tmp_path / "venv")
    python, away = tmp_path / "venv" / "bin" / "python", tmp_path / "away"
    away.mkdir()
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    carried_out(*pip, "setuptools>=77")
    build = "from setuptools.build_meta import build_sdist; import sys; build_sdist(sys.argv[1])"
    carried_out(python, "-c", build, tmp_path, within=sources)
    wheel = wheel_of(next(tmp_path.glob("recdistill-*.tar.gz")), tmp_path)
    torch = version("torch").partition("+")[0]  # the same build as here, of which there is one without CUDA
    carried_out(*pip, wheel, f"torch=={torch}")
    where = carried_out(python, "-c", "import recdistill; print(recdistill.__file__)", within=away)
    assert Path(where.strip()).is_relative_to(tmp_path / "venv")
    said = carried_out(tmp_path / "venv" / "bin" / "recdistill", "demo", within=away)
    assert "report:" in said
    assert list(away.glob("**/report/index.html"))


def test_environment_is_consistent() -> None:
    done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_environment_holds_torchrec() -> None:
    """Where the package is installed for all its tests none is skipped for want of it."""
    code = "import torchrec, fbgemm_gpu"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
