"""The verbs to begin with: from two CSV files to a report, the demo, the doctor; and typos of every kind."""

from __future__ import annotations

import csv
import errno
import json
import tomllib
from pathlib import Path

import pytest
from tiny import Call

import recdistill
from recdistill import doctor, experiment
from recdistill.cli import beginnings
from recdistill.configuration import Config
from recdistill.datasets import synthetic
from recdistill.run_folder import RunFolder
from recdistill.settings import fill
from recdistill.tables import Table

SMALL = [
    *("labels=[0.5]", "folds=2", "teacher.arguments={embedding_dim=8, hidden=[16]}"),
    *("teacher.fit.epochs=1", "teacher.adapt.epochs=1", "student.fit.epochs=1"),
    *("tune.controls=[{}]", "tune.distilled=[{}]", "tune.adapted=[{}]"),
]
PAIR = ("shop/old.csv", "shop/new.csv")
NAMES = {"user_id": "customer", "item_id": "Product", "region": "area", "click": "bought", "time": "event_time"}


def write_csv(path: Path, table: Table, names: dict[str, str]) -> None:
    """A table as another program might have written it, under its own names."""
    rows = table.arrow.drop_columns(["row_id", "true_probability"]).to_pylist()
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([names.get(name, name) for name in rows[0]])
        for row in rows:
            writer.writerow(["|".join(map(str, v)) if isinstance(v, list) else v for v in row.values()])


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    source, target = synthetic.load(source_rows=2000, target_rows=1500, source_users=60, target_users=40, items=30)
    if "dwell" in target.arrow.column_names:  # the target knows nothing of it
        target = Table(target.arrow.drop_columns(["dwell"]), target.schema.without("dwell"))
    (tmp_path / "shop").mkdir()
    write_csv(tmp_path / "shop" / "old.csv", source, NAMES)
    write_csv(tmp_path / "shop" / "new.csv", target, {})
    return PAIR


def test_two_csv_files_go_from_init_to_a_report(call: Call, pair: tuple[str, str], tmp_path: Path) -> None:
    code, output, errors = call("init", *pair)
    assert (code, errors) == (0, "")
    assert "click      label: named like a label; 'bought' in the source" in output
    assert "dwell      number, privileged: numbers" in output
    assert "recdistill run experiment.toml --out runs/mine" in output
    # Codes of regions say nothing of themselves: here the user corrects the draft.
    text = (tmp_path / "experiment.toml").read_text()
    assert 'privileged = ["area", "dwell"]' in text
    text = text.replace('privileged = ["area", "dwell"]', 'privileged = ["dwell"]')
    text = text.replace('    "area",', '    "region",')
    text = text.replace("[data.arguments.columns]", '[data.arguments.columns]\narea = "region"')
    (tmp_path / "experiment.toml").write_text(text)

    settings = [word for setting in SMALL for word in ("--set", setting)]
    code, output, errors = call("run", "experiment.toml", "--out", "runs/mine", "--workers", "1", *settings)
    assert (code, errors) == (0, "")
    assert "report: runs/mine/report/index.html" in output
    result = json.loads((tmp_path / "runs/mine/report/report.json").read_text())
    assert {"hard_only", "source_finetuned", "adapted_all"} <= set(result["rankers"])
    assert result["data"]["source"]["rows"] == 2000
    tables = RunFolder(tmp_path / "runs/mine").tables()
    assert set(tables["source"].row_ids.tolist()).isdisjoint(tables["train"].row_ids.tolist())
    assert call("verify", "runs/mine")[0] == 0


def test_init_overwrites_nothing_without_force(call: Call, pair: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("precious")
    code, _, errors = call("init", *pair, "--out", "mine.toml")
    assert code == 2
    assert "mine.toml is there already; pass --force" in errors
    assert (tmp_path / "mine.toml").read_text() == "precious"
    assert call("init", *pair, "--out", "mine.toml", "--force")[0] == 0
    assert "named like a label" in (tmp_path / "mine.toml").read_text()
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".tmp")]


def test_init_says_where_a_line_for_the_domain_is_needed(call: Call, pair: tuple[str, str]) -> None:
    last = [call("init", *files, "--out", f"{len(files)} files.toml")[1].splitlines()[-1] for files in (pair[:1], pair)]
    assert last == [
        "1 files.toml is written; check its guesses, and take or write its line for the domain, then: "
        "recdistill run '1 files.toml' --out runs/mine",
        "2 files.toml is written; check its guesses, then: recdistill run '2 files.toml' --out runs/mine",
    ]


def test_init_never_replaces_the_files_it_looks_at(call: Call, pair: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / pair[0])
    before = (tmp_path / pair[0]).read_bytes()
    for out in (pair[0], "link.csv"):
        for force in ([], ["--force"]):
            code, _, errors = call("init", *pair, "--out", out, *force)
            assert code == 2
            assert f"{out} is one of the files looked at" in errors
    assert (tmp_path / pair[0]).read_bytes() == before
    code, _, errors = call("init", pair[0], pair[0])
    assert code == 2
    assert "source and target must be two files, got shop/old.csv twice" in errors


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["init", *PAIR, "--out", "afolder", "--force"], "afolder"),
        (["init", *PAIR, "--out", "afile/x.toml"], "afile"),
        (["run", "tiny.toml", "--out", "afile/x"], "afile"),
        (["download", "ml-1m", "--to", "afile/x"], "afile"),
    ],
)
@pytest.mark.usefixtures("pair")
def test_a_file_that_cannot_be_written_is_named(call: Call, tmp_path: Path, arguments: list[str], named: str) -> None:
    (tmp_path / "afolder").mkdir()
    (tmp_path / "afile").write_text("")
    code, _, errors = call(*arguments)
    assert code == 4
    assert f"error: {named}" in errors
    assert "cannot be read or written: " in errors
    assert ".tmp" not in errors


def test_a_reader_of_the_output_may_leave(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(*_: object, **__: object) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(experiment, "run", leave)
    code, _, errors = call("run", "tiny.toml")
    assert (code, errors) == (1, "")


def test_a_label_that_is_not_named_stops_the_run(call: Call, pair: tuple[str, str], tmp_path: Path) -> None:
    assert call("init", *pair)[0] == 0
    text = (tmp_path / "experiment.toml").read_text().splitlines()
    kept = [line for line in text if not line.startswith("label = ")]
    (tmp_path / "experiment.toml").write_text("\n".join(kept))
    code, _, errors = call("run", "experiment.toml", "--out", "r")
    assert code == 2
    assert "the schema must name the label" in errors
    assert not (tmp_path / "r").exists()


def test_the_demo_says_what_it_does_and_what_comes_next(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Config] = []

    def small(config: Config, *arguments: object, **named: object) -> object:
        seen.append(config)
        return {}

    monkeypatch.setattr(experiment, "run", small)
    monkeypatch.setattr(beginnings, "show", lambda result, out: print(f"the report of {out}"))
    code, output, errors = call("demo", "--out", "d")
    assert (code, errors) == (0, "")
    lines = output.splitlines()
    assert lines[0].startswith("A synthetic world:")
    assert "the report goes to d" in lines[1]
    assert lines[-2:] == [
        "the report of d",
        "next: recdistill init SOURCE.csv TARGET.csv, for tables of your own",
    ]
    assert seen[0].data.name == "synthetic"
    assert seen[0].data.arguments["source_rows"] <= 40_000


def test_the_demos_settings_are_an_experiment() -> None:
    path = Path(recdistill.__file__).parent / "demo.toml"
    config = fill(Config, tomllib.loads(path.read_text()))
    assert config.labels == (0.1,)


@pytest.mark.slow
def test_the_demo_runs(call: Call, tmp_path: Path) -> None:
    code, output, errors = call("demo", "--workers", "1")
    assert (code, errors) == (0, "")
    assert "Transfer: +" in output
    assert (tmp_path / "runs/demo/report/report.md").is_file()


@pytest.mark.parametrize(("memory", "code"), [(8 * doctor.GIB, 0), (0, 4)])
def test_the_doctors_exit_code_says_whether_there_is_a_problem(
    call: Call, monkeypatch: pytest.MonkeyPatch, memory: int, code: int
) -> None:
    facts = doctor.Facts(torch="2.13.0", cores=2, memory=memory, disk=9 * doctor.GIB)
    monkeypatch.setattr(doctor, "gather", lambda out: facts)
    ended, output, _ = call("doctor")
    assert ended == code
    assert "ok       torch 2.13.0\n" in output
    assert ("fix: end other programs" in output) == (code == 4)


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (["rn"], "No such command 'rn'. Did you mean 'run'?"),
        (["int", "a.csv"], "Did you mean 'init'?"),
        (["demo", "--otu", "x"], "--out"),
        (["init"], "FILE"),
        (["run", "experimnt.toml"], "experimnt.toml does not exist, did you mean 'experiment.toml'?"),
        (["run", "nowhere/experiment.toml"], "does not exist: there is no folder nowhere"),
        (["teacher", "runs/frst"], "runs/frst does not exist, did you mean 'runs/first'?"),
        (["report", "runs/zzz"], "runs/zzz holds no run; `recdistill prepare` makes one"),
        (["run", "--set", "student.embedding_dim=3"], "are set like 'student.arguments.embedding_dim')"),
        (["run", "--set", "data.name=fles"], "did you mean 'files'?"),
        (["run", "--set", "data.name=files", "--set", "data.arguments={shema={}}"], "did you mean 'schema'?"),
        (["run", "--set", "data.name=files", "--set", "data.arguments={target='a.csv'}"], "needs the folder"),
    ],
)
def test_every_typo_names_the_nearest_and_exits_with_2(
    call: Call, tmp_path: Path, arguments: list[str], rule: str
) -> None:
    (tmp_path / "experiment.toml").write_text("")
    RunFolder(tmp_path / "runs" / "first").begin(Config(), source=True)
    code, _, errors = call(*arguments)
    assert code == 2
    assert rule in " ".join(errors.replace("│", " ").split())
