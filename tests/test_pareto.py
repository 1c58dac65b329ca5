"""`recdistill pareto`: its grid by hand again, its choice by definition, and what it keeps."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import Call

from recdistill import report
from recdistill.artefacts import manifest, remove
from recdistill.cells.trying import chosen
from recdistill.compression import Compression, reduced
from recdistill.configuration import StudentSettings
from recdistill.distillation import DistillSettings, distill
from recdistill.errors import DataError, UsageError
from recdistill.evaluation import compare, measure
from recdistill.fit_settings import FitSettings
from recdistill.label_budget import Cell
from recdistill.metrics import over_seeds
from recdistill.pareto import Grid, ParetoSettings, Point, Size, choosing
from recdistill.pareto.choosing import front, smallest
from recdistill.pareto.making import point_units, student_units
from recdistill.ranker import Ranker
from recdistill.report.frontier.page import frontier_cautions
from recdistill.report.frontier.words import BASELINE
from recdistill.run_folder import RunFolder
from recdistill.serving import Scorer
from recdistill.settings import fill
from recdistill.soft_labels import SoftLabels

INT8, HALF = Compression(tables="int8"), Compression(prune=0.5)
GRID = """
calls = 20
[sizes.small]
[[compressions]]
tables = "int8"
[[compressions]]
prune = 0.5
"""
SEEDS = (0, 1)
COSTS = st.lists(st.tuples(st.integers(1, 5), st.integers(0, 5)), min_size=1, max_size=12)


@pytest.fixture
def run(call: Call, tmp_path: Path, request: pytest.FixtureRequest) -> RunFolder:
    """A run with soft labels, of two seeds where a test says so, and a grid beside it."""
    seeds = f"seeds={getattr(request, 'param', 1)}"
    for verb, *told in (
        ("prepare", "distilling.toml", "--out", "r", "--set", seeds),
        ("teacher", "r"),
        ("label", "r"),
    ):
        code, _, errors = call(verb, *told)
        assert not code, errors
    (tmp_path / "grid.toml").write_text(GRID)
    return RunFolder(tmp_path / "r")


def page_of(run: RunFolder) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run.path / "pareto" / "page" / "pareto.json").read_text())
    return found


@given(COSTS)
def test_on_the_front_is_what_no_other_beats(costs: list[tuple[int, int]]) -> None:
    points = {Point(f"s{place}"): (float(cost), float(quality)) for place, (cost, quality) in enumerate(costs)}

    def beaten(by: tuple[float, float], one: tuple[float, float]) -> bool:
        return by[0] <= one[0] and by[1] >= one[1] and by != one

    wanted = {one for one in points.values() if not any(beaten(other, one) for other in points.values())}
    found = front(points)
    assert {points[point] for point in found} == wanted
    assert len(found) == len(wanted), "of equal ones the first"


@pytest.mark.parametrize(("sign", "low", "high"), [(1, -0.0019, 0.004), (-1, -0.004, 0.0019)])
def test_the_smallest_is_good_enough_by_its_whole_interval(sign: int, low: float, high: float) -> None:
    def entry(size: int, low: float, high: float) -> dict[str, Any]:
        return {"bytes": size, "against_best": {"low": low, "high": high}}

    best, near, far = Point("best"), Point("near"), Point("far")
    entries = {best: entry(100, 0, 0), near: entry(50, low, high), far: entry(10, low - 0.001, high + 0.001)}
    assert smallest(entries, sign, 0.002) == near
    assert smallest(entries, sign, 0.01) == far
    assert smallest(entries, sign, 0.0001) == best


def test_without_itself_uncompressed_a_point_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [Point(size, how) for size in ("a", "b") for how in (Compression(), INT8)]
    reasons = {Point("a"): "seed 0: apart", Point("b", INT8): "seed 1: far apart"}
    monkeypatch.setattr(choosing, "refusal", lambda _, point: reasons.get(point, ""))
    found = choosing._refusals(SimpleNamespace(points=points))  # type: ignore[arg-type]
    assert [point for point in points if not found[point]] == [Point("b")]
    assert "seed 0: apart" in found[Point("a", INT8)]


def test_a_size_is_the_runs_student_changed() -> None:
    student = StudentSettings(arguments={"embedding_dim": 4, "hidden": [32]})
    assert Size().of(student) == student
    assert Size(arguments={"embedding_dim": 8}).of(student).arguments == {"embedding_dim": 8, "hidden": [32]}
    assert Size(model="lr").of(student).arguments == {}, "another model has arguments of its own"
    assert list(ParetoSettings().students(student)) == ["student", "dim2", "dim8"]
    assert list(ParetoSettings().students(student.model_copy(update={"arguments": {}}))) == ["student"]
    one = ParetoSettings(compressions=(INT8, Compression()))
    assert one.ways == (Compression(), INT8)


@pytest.mark.parametrize(
    ("told", "rule"),
    [
        ({"sizes": {"a/b": {}}}, "called by letters"),
        *(({"sizes": {name: {}}}, "called by letters") for name in (BASELINE, "teacher", "adapted_teacher")),
        ({"sizes": {"a": {"modle": "mlp"}}}, "modle"),
        ({"compressions": [{"tables": "int8"}, {"tables": "int8"}]}, "once"),
        ({"compressions": [{"prune": 1.0}]}, "prune"),
        ({"margin": 0}, "margin"),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused(told: dict[str, Any], rule: str) -> None:
    with pytest.raises(UsageError, match=rule):
        fill(ParetoSettings, told)


def test_what_it_takes_and_what_it_says(call: Call, run: RunFolder) -> None:
    for told, rule in (
        (("--labels", "0.3"), "has labels 0.5, got 0.3"),
        (("--arm", "adapted_all_warm"), "starts from random weights, got 'adapted_all_warm'"),
        (("--arm", "hard_only"), "hears a teacher"),
        (("--margin", "0"), "margin"),
    ):
        code, _, errors = call("pareto", "r", "--grid", "grid.toml", *told)
        assert code == UsageError.exit_code
        assert rule in errors
    small = ("--set", "compressions=[{tables='int8'}, {rank=0.9}]", "--set", "sizes.small.arguments.hidden=[4]")
    code, out, errors = call("pareto", "r", "--grid", "grid.toml", *small)
    assert not code, errors
    result = page_of(run)
    assert out.index(report.frontier_lines(result)[0][:40]) < out.index("students on validation rows")
    refused = next(point for point in result["points"] if point["refused"])
    assert refused["compression"] == {"rank": 0.9}, "two matrices of that rank are no smaller"
    assert f"{refused['name']} is left out" in report.frontier_page(result)
    assert any("one seed" in line for line in frontier_cautions(result))
    html = (run.path / "pareto" / "page" / "index.html").read_text()
    assert "What does a smaller student cost?" in html
    assert "report.json" not in html, "its figures stand in pareto.json"


def test_before_the_soft_labels_it_names_the_command(call: Call, tmp_path: Path) -> None:
    assert call("prepare", "distilling.toml", "--out", "r")[0] == 0
    code, _, errors = call("pareto", "r")
    assert code == UsageError.exit_code
    assert "recdistill teacher" in errors


@pytest.mark.slow
@pytest.mark.parametrize("run", [len(SEEDS)], indirect=True)
def test_the_grid_again_by_hand(call: Call, run: RunFolder) -> None:
    soft = {path: path.stat().st_mtime_ns for path in run.path.glob("soft_labels/**/*")}
    code, out, errors = call("pareto", "r", "--grid", "grid.toml")
    assert not code, errors
    result, grid = page_of(run), Grid(run, fill(ParetoSettings, {"sizes": {"small": {}}}), 0.5)
    assert result["recommended"] in out
    assert "Ship" in out
    cells = [Cell(0.5, seed) for seed in SEEDS]
    valid = [rows.take(rows.labelled) for rows in (run.labelled(cell)[1] for cell in cells)]

    # A student: distilled from the run's soft labels with the candidate that was best on validation rows.
    train, _ = run.labelled(cells[0])
    labels = SoftLabels.load(run.soft_labels("adapted_teacher", cells[0]))
    student = Ranker.load(grid.student("small", cells[0]))
    assert student.encoder.fingerprint == run.config.student.encoder.fit(train).fingerprint
    trial, _ = chosen(grid.student("small", cells[0]))
    again = reduced(student, HALF, train)
    fitting = FitSettings(**{**trial.fitting, "epochs": run.config.student.fit.epochs})
    distill(
        again,
        train,
        labels if trial.alpha else None,
        valid=run.labelled(cells[0])[1],
        settings=DistillSettings(alpha=trial.alpha, temperature=trial.temperature),
        fitting=fitting,
    )
    served = Scorer.load(grid.shipped(Point("small", HALF), cells[0]))
    assert np.allclose(served.score(valid[0].arrow), again.score(valid[0]), atol=1e-5), "pruned, then taught on"

    # Quality, differences and bytes of each point.
    points = {point["name"]: point for point in result["points"]}
    assert set(points) == {
        *("small", "small, int8 tables", f"small, {HALF.words}"),
        BASELINE,
    }
    plain = [
        Scorer.load(grid.shipped(Point("small"), cell)).score(v.arrow) for cell, v in zip(cells, valid, strict=True)
    ]
    int8 = [
        Scorer.load(grid.shipped(Point("small", INT8), c)).score(v.arrow) for c, v in zip(cells, valid, strict=True)
    ]
    means = [np.mean([measure(s, v).metrics["auc"] for s, v in zip(of, valid, strict=True)]) for of in (plain, int8)]
    assert [points[name]["valid"] for name in ("small", "small, int8 tables")] == pytest.approx(means)
    found = [compare(a, b, v, "auc") for a, b, v in zip(int8, plain, valid, strict=True)]
    users = min(len(np.unique(v.numpy(str(v.schema.user)))) for v in valid)
    deltas, errors = ([one[name] for one in found] for name in ("delta", "rows_error"))
    wanted = over_seeds(deltas, errors, units=users, method=found[0]["method"])
    told = points["small, int8 tables"]["against_plain"]
    assert [told[end] for end in ("delta", "low", "high")] == pytest.approx([wanted.delta, wanted.low, wanted.high])
    sizes = [(grid.shipped(Point("small"), cell) / "model.onnx").stat().st_size for cell in cells]
    assert points["small"]["bytes"] == round(np.mean(sizes))
    assert points[result["best"]]["valid"] == max(p["valid"] for name, p in points.items() if name != BASELINE)
    assert manifest(grid.student(BASELINE, cells[0]))["facts"]["choice"]["alpha"] == 0, "it hears no teacher"

    # Test rows: of what is shipped, and what it is compared with.
    test = run.tables()["test"]
    shipped = next(p for p in grid_points(result) if p.name == result["recommended"])
    scores = [Scorer.load(grid.shipped(shipped, cell)).score(test.arrow) for cell in cells]
    reached = np.mean([measure(one, test).metrics["auc"] for one in scores])
    assert result["test"]["rankers"][shipped.name]["auc"] == pytest.approx(reached)
    assert {c["b"] for c in result["test"]["comparisons"]} >= {BASELINE, "adapted_teacher"}
    assert (run.path / "pareto" / "page" / "pareto.md").read_text() == report.frontier_page(result)

    # The same grid makes nothing again, another what is new in it; nothing of the run itself is touched.
    assert not missing(run, GRID)
    wide = {"wide", "wide/as-trained", "wide/tables-int8", "wide/prune-0.5"}
    assert missing(run, GRID + "[sizes.wide]\nmodel = 'mlp'\n") == {f"{of}/{cell}" for of in wide for cell in cells}
    small = {"small", "small/as-trained", "small/tables-int8", "small/prune-0.5"}
    changed = GRID.replace("[sizes.small]", "[sizes.small.arguments]\nhidden = [4]")
    assert missing(run, changed) == {f"{of}/{cell}" for of in small for cell in cells}, "of that name, but another"
    assert soft == {path: path.stat().st_mtime_ns for path in run.path.glob("soft_labels/**/*")}

    # A student that is made again is compressed again, and so is all with other soft labels.
    remove(grid.student("small", cells[0]))
    again = {"small", "small/as-trained", "small/tables-int8", "small/prune-0.5"}
    assert missing(run, GRID) == {f"{of}/{cells[0]}" for of in again}
    remove(run.soft_labels("adapted_teacher", cells[1]))
    assert call("label", "r")[0] == 0
    assert not {f"{of}/{cells[1]}" for of in again} & missing(run, GRID), "the very same soft labels"

    # The run's report shows it when it is written next.
    assert call("distill", "r")[0] == call("evaluate", "r")[0] == 0
    shown = json.loads((run.report / "report.json").read_text())
    assert shown["frontier"] == result
    assert "What a smaller student costs" in (run.report / "report.md").read_text()

    # What the run ships by now stands beside it on test rows.
    assert not result["test"]["ships"]
    assert call("pareto", "r", "--grid", "grid.toml")[0] == 0
    tested = page_of(run)["test"]
    auto = np.stack([Ranker.load(run.student("auto", cell)).score(test) for cell in cells])
    assert tested["ships"] == "auto"
    wanted = compare(np.stack(scores), auto, test, "auc")
    told = next(one for one in tested["comparisons"] if (one["b"], one["metric"]) == ("auto", "auc"))
    assert told["delta"] == pytest.approx(wanted["delta"])
    assert "against what the run ships (auto)" in (run.path / "pareto" / "page" / "pareto.md").read_text()

    # Its files are the run's, and are looked at with them.
    left = run.path / "pareto" / "shipped" / ".small.0a1b.tmp"
    shutil.copytree(grid.shipped(shipped, cells[0]), left)
    (left / "model.onnx").unlink()  # of a process that was killed: no matter
    code, out, _ = call("verify", "r")
    assert (code, "not finished" in out) == (0, False)
    gone = grid.shipped(Point("small", INT8), cells[1])
    remove(gone)
    assert f"1 artefacts are not there yet, e.g. {gone.relative_to(run.path)}" in call("verify", "r")[1]
    with (grid.shipped(Point("small"), cells[1]) / "model.onnx").open("ab") as file:
        file.write(b"more")
    code, _, errors = call("verify", "r")
    assert code == DataError.exit_code
    assert f"{cells[1]}/model.onnx must have" in errors
    (grid.page / "pareto.json").write_text("{}")  # which cannot say what there should be
    assert "pareto.json must have" in call("verify", "r")[2]


def missing(run: RunFolder, toml: str) -> set[str]:
    """What a grid would make that is not there."""
    grid = Grid(run, fill(ParetoSettings, tomllib.loads(toml)), 0.5)
    return {unit.name for unit in (*student_units(grid), *point_units(grid)) if not unit.is_done}


def grid_points(result: dict[str, Any]) -> list[Point]:
    return [Point(p["size"], Compression(**p["compression"])) for p in result["points"]]


@pytest.mark.slow
def test_of_ratings_the_least_error_is_the_best(call: Call, tmp_path: Path, shared_data: Callable[[str], Path]) -> None:
    (tmp_path / "grid.toml").write_text(GRID)
    rated = ("data.name=movielens", f"data.root={shared_data('ml-100k')}")
    of = "data.arguments={task='rating', domain='time', at=0.6, disjoint=['rows']}"
    told = [word for one in (*rated, of) for word in ("--set", one)]
    for verb in (("prepare", "distilling.toml", "--out", "r", *told), ("teacher", "r"), ("label", "r")):
        code, _, errors = call(*verb)
        assert not code, errors
    code, out, errors = call("pareto", "r", "--grid", "grid.toml")
    assert not code, errors
    run = RunFolder(tmp_path / "r")
    result, cell = page_of(run), Cell(0.5, 0)
    valid, test = run.labelled(cell)[1], run.tables()["test"]
    valid = valid.take(valid.labelled)
    grid = Grid(run, fill(ParetoSettings, {"sizes": {"small": {}}}), 0.5)
    points = {point.name: point for point in grid_points(result)}
    errors_by = {
        name: measure(Scorer.load(grid.shipped(point, cell)).score(valid.arrow), valid).metrics["rmse"]
        for name, point in points.items()
    }
    told_of = {point["name"]: point["valid"] for point in result["points"]}
    assert {name: told_of[name] for name in points} == pytest.approx(errors_by)
    assert result["metric"] == "rmse"
    assert result["best"] == min((name for name in points if name != BASELINE), key=errors_by.__getitem__)
    shipped = Scorer.load(grid.shipped(points[result["recommended"]], cell)).score(test.arrow)
    assert result["test"]["rankers"][result["recommended"]]["rmse"] == pytest.approx(
        measure(shipped, test).metrics["rmse"]
    )
    assert "RMSE" in out
    assert "AUC" not in out
