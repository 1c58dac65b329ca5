"""`recdistill prepare` with a newcomer's eyes: data files of every kind, two mismatched tables, what is refused."""

from __future__ import annotations

import csv
import io
import json
import random
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from tiny import Call

from recdistill import run_inspection, terminal
from recdistill.prepared_table import PreparedTable
from recdistill.run_folder import RunFolder

SOURCE = {"user": "customer", "item": "product", "click": "bought"}
WRONG = "error: new.csv line 2, column 'price': numbers must be numbers, got 'n/a?'"
CRITEO = "the files are laid out as Criteo's: click, I1 to I13, C1 to C26, without a header, in the order of time\n"


def shop(path: Path, own: str, *, rows: int, wrong: int = 0) -> None:
    """Clicks in a shop with users and items of its own; the old one has other names and knows how long a user stayed.

    The first rows have a price that is none.
    """
    draw = random.Random(own)
    names = SOURCE if own == "o" else {}
    lines = []
    for row in range(rows):
        line = {
            "user": f"{own}{draw.randrange(40):03d}",
            "item": f"{own}-{draw.randrange(30)}",
            "category": draw.choice(["toys", "books", "food"]),
            "price": "n/a?" if row < wrong else draw.choice(["", f"{draw.uniform(1, 50):.2f}"]),
            "at": f"2024-0{1 + row * 6 // rows}-{draw.randint(1, 28):02d} 10:00:00",
            "click": int(draw.random() < 0.3),
            **({"dwell": f"{draw.expovariate(1):.2f}"} if own == "o" else {}),
        }
        lines.append({names.get(name, name): value for name, value in line.items()})
    write(path, lines)


def write(path: Path, lines: Sequence[Mapping[str, object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)


@pytest.fixture
def shops(tmp_path: Path, call: Call) -> Call:
    """Two tables, their first draft, and the command line beside them."""
    shop(tmp_path / "old.csv", "o", rows=500)
    shop(tmp_path / "new.csv", "n", rows=400)
    assert call("init", "old.csv", "new.csv")[0] == 0
    return call


def criteo(path: Path, rows: int = 300) -> Path:
    draw = random.Random(0)
    lines = []
    for _ in range(rows):
        counts = [draw.choice(["", "1", "23", "-1"]) for _ in range(13)]
        lines.append([draw.choice("01"), *counts, *(f"{draw.randrange(9):08x}" for _ in range(26))])
    path.write_text("".join("\t".join(line) + "\n" for line in lines), "utf-8")
    return path


# ------------------------------------------------------------------------------------------- data files


def test_criteo_is_known_by_its_lines(call: Call, tmp_path: Path) -> None:
    criteo(tmp_path / "day_0")
    code, output, errors = call("prepare", "day_0", "--out", "p")
    assert (code, errors) == (0, "")
    assert output.startswith(CRITEO)
    assert "p: 300 rows, split by position\nsplit  rows  labels" in output
    assert re.search(r"\ntrain  240   0: \d\d\.\d %, 1: \d\d\.\d %  1\n", output)
    assert "features, measured on the training rows (no id: values missing, rare or new, which share one id)" in output
    assert re.search(r"\nC1 +categorical +0 % +9 +10 +0 % +0 %\n", output)
    assert re.search(r"\nI1 +number +\d\d\.\d %\n", output)
    assert output.endswith("p is prepared\nuse it with: rd.PreparedTable.read('p')\n")
    assert max(map(len, output.splitlines())) <= 110
    assert PreparedTable.read(tmp_path / "p").rows == {"train": 240, "valid": 30, "test": 30}


def test_real_criteo(call: Call, tmp_path: Path, shared_data: Callable[[str], Path]) -> None:
    code, output, errors = call("prepare", str(shared_data("criteo-kaggle-137k")), "--out", "p")
    assert (code, errors) == (0, "")
    assert output.startswith(CRITEO)
    assert "p: 137,139 rows, split by position" in output
    assert re.search(r"\nC20 +categorical +\d\d\.\d % +3 +4 +\d\d\.\d % +\d\d\.\d %\n", output)
    assert "set aside" not in output


def test_two_tables_of_an_experiment(shops: Call, tmp_path: Path) -> None:
    code, output, errors = shops("prepare", "old.csv", "--roles", "experiment.toml", "--side", "source", "--out", "s")
    assert (code, errors) == (0, "")
    assert re.search(r"\nuser +categorical +0 % +40 +41 +0 % +0 %\n", output)
    assert re.search(r"\ndwell +number +0 %\n", output)
    like = ["prepare", "new.csv", "--roles", "experiment.toml", "--encoder", "s", "--out", "t"]
    code, output, errors = shops(*like)
    assert (code, errors) == (0, "")
    assert re.search(r"\nuser +categorical +0 % +\d\d +41 +100 % +100 %\n", output), "no user of theirs is known"
    assert re.search(r"\ndwell +number +100 %\n", output), "which the target lacks"
    source, target = PreparedTable.read(tmp_path / "s"), PreparedTable.read(tmp_path / "t")
    assert target.encoder.fingerprint == source.encoder.fingerprint


def test_a_second_call_does_nothing_and_other_settings_are_refused_with_words(shops: Call, tmp_path: Path) -> None:
    prepare = ["prepare", "new.csv", "--roles", "experiment.toml", "--out", "p"]
    assert shops(*prepare)[0] == 0
    code, output, _ = shops(*prepare)
    assert code == 0
    assert output.startswith("p was prepared before from the same files and settings: nothing to do\n")
    code, _, errors = shops(*prepare, "--set", "encoder.min_count=5")
    assert code == 2
    assert "p was prepared otherwise: settings.encoder.min_count is 1 there and 5 here; choose another" in errors
    other = ["--set", "encoder.min_count=5"]
    assert shops(*prepare, *other, "--overwrite")[0] == 0
    shop(tmp_path / "new.csv", "n", rows=401)
    assert re.search(r"new\.csv has changed since \(.* bytes, then .*pass --overwrite", shops(*prepare, *other)[2])


def test_wrong_rows_are_set_aside_where_that_is_asked(shops: Call, tmp_path: Path) -> None:
    shop(tmp_path / "new.csv", "n", rows=400, wrong=12)
    prepare = ["prepare", "new.csv", "--roles", "experiment.toml", "--out", "p"]
    code, _, errors = shops(*prepare)
    assert (code, errors) == (3, f"{WRONG} (--on-bad-row quarantine sets such rows aside)\n")
    code, output, errors = shops(*prepare, "--on-bad-row", "quarantine")
    assert (code, errors) == (0, "")
    assert "\nwarning: 12 rows were set aside (price: numbers must be numbers), see p/quarantine.jsonl\n" in output
    code, _, errors = shops(*prepare, "--on-bad-row", "quarantin")
    assert (code, "got 'quarantin', did you mean 'quarantine'?" in errors) == (2, True)
    shop(tmp_path / "new.csv", "n", rows=400, wrong=100)
    code, _, errors = shops(*prepare, "--on-bad-row", "quarantine", "--overwrite")
    assert code == 3
    assert "new.csv: at most 10 % of the rows may be set aside, got 100 of 400 (price: numbers must be num" in errors
    assert PreparedTable.read(tmp_path / "p").rows, "what was there is still there"


def test_what_does_not_fit_is_refused_with_words(shops: Call, tmp_path: Path) -> None:
    roles = ["--roles", "experiment.toml"]
    (tmp_path / "mixed").mkdir()
    (tmp_path / "mixed" / "a.csv").write_text((tmp_path / "new.csv").read_text())
    pq.write_table(pa_csv.read_csv(tmp_path / "new.csv"), tmp_path / "mixed" / "b.parquet")
    (tmp_path / "my notes").mkdir()
    (tmp_path / "my notes" / "precious.txt").write_text("precious")
    refused = {
        ("experiment.toml", *roles): (2, "only data files take --roles, got an experiment: its TOML says the roles"),
        ("experiment.toml", *roles, "--side", "source"): (2, "only data files take --roles and --side, got an"),
        ("experimnt.toml",): (2, "experimnt.toml does not exist, did you mean 'experiment.toml'?"),
        ("new.csv",): (2, "need the roles of their columns: --roles TOML, e.g. the one that `recdistill init new.csv`"),
        ("new.csv", "--side", "source"): (2, "--side is a side of an experiment: give its TOML with --roles, got --si"),
        ("new.csv", "--roles", "experimnt.toml"): (2, "experimnt.toml does not exist, did you mean 'experiment.toml'"),
        ("nwe.csv", *roles): (3, "nwe.csv is missing, did you mean 'new.csv'?"),
        ("old.csv", *roles): (2, "old.csv is the experiment's source, got no side: add --side source"),
        ("mixed", *roles): (3, "files must be all text or all Parquet, got mixed/a.csv and mixed/b.parquet"),
        ("new.csv", *roles, "--encoder", "nowhere"): (2, "nowhere is no prepared table; `recdistill prepare` makes"),
        ("new.csv", *roles, "--encoder", "mixed"): (2, "mixed is no prepared table; `recdistill prepare` makes one"),
        ("new.csv", *roles, "--set", "encoder.min_cuont=5"): (2, "unknown setting 'encoder.min_cuont', did you mean"),
        ("new.csv", *roles, "--out", "my notes", "--overwrite"): (2, "my notes holds something else than a prepared"),
    }
    for words, (code, message) in refused.items():
        out = () if "--out" in words else ("--out", "p")
        found = shops("prepare", *words, *out)
        assert (found[0], message in found[2]) == (code, True), found
        assert not (tmp_path / "p").exists()
    assert (tmp_path / "my notes" / "precious.txt").read_text() == "precious"


def test_an_empty_folder_is_filled(shops: Call, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    assert shops("prepare", "new.csv", "--roles", "experiment.toml", "--out", "p")[0] == 0
    assert PreparedTable.read(tmp_path / "p").rows["train"]


def test_on_a_terminal_tables_are_whole_at_100_columns(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = io.StringIO()
    wide = Console(file=seen, force_terminal=True, width=100, soft_wrap=True, highlight=False)
    monkeypatch.setattr(terminal, "console", lambda **_: wide)
    criteo(tmp_path / "day_0")
    assert call("prepare", "day_0", "--out", "p")[0] == 0
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.getvalue())
    assert "  reading ━" in plain, "a bar"
    assert re.search(r"  encoding: 300 rows in \d+\.\d s\n", plain)
    shown = [line for line in plain.splitlines() if line[:1] in "│┃┏┡└"]
    assert len(shown) > 39
    assert max(map(len, shown)) <= 100
    assert not any("…" in line for line in shown)


# ------------------------------------------------------------------------------------------ experiments


def test_two_mismatched_tables_read_well(shops: Call, tmp_path: Path) -> None:
    code, output, errors = shops("prepare", "experiment.toml", "--out", "r")
    assert (code, errors) == (0, "")
    assert re.search(r"\ncolumn +ids +in the source too +rows +with such an id\n", output)
    assert re.search(r"\nuser +40 +0 \(0 %\) +400 +0 %\n", output)
    assert re.search(r"\ncategory +3 +3 \(100 %\) +400 +100 %\n", output)
    assert "\nnote: source and target share no user, no item; " in output
    assert output.endswith("r is prepared; next: recdistill teacher r\n")

    text = (tmp_path / "experiment.toml").read_text()
    (tmp_path / "wrong.toml").write_text(text.replace('"customer" = "user"', '"custmer" = "user"'))
    code, _, errors = shops("prepare", "wrong.toml", "--out", "w")
    assert (code, "old.csv has no column 'custmer', did you mean 'customer'?" in errors) == (2, True)
    (tmp_path / "wrong.toml").write_text(re.sub(r'"category",.*', '"kategory",', text))
    code, _, errors = shops("prepare", "wrong.toml", "--out", "w")
    assert (code, "has no column 'kategory', did you mean 'category'?" in errors) == (2, True)
    assert not (tmp_path / "w").exists()


def test_a_price_in_another_unit_and_names_in_another_spelling(shops: Call, tmp_path: Path) -> None:
    with (tmp_path / "new.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        row["price"] = row["price"] and f"{100 * float(row['price']):.0f}"
        row["category"] = row["category"].upper()
    write(tmp_path / "new.csv", rows)
    code, output, errors = shops("prepare", "experiment.toml", "--out", "r")
    assert (code, errors) == (0, "")
    assert "\nwarning: category: 3 of its 3 ids are in the source in another spelling (case, spaces around" in output
    assert re.search(r"\nwarning: price: .* of the target's values lie above .*: another unit\?\n", output)


def test_an_experiments_wrong_rows_are_set_aside_and_told(shops: Call, tmp_path: Path) -> None:
    shop(tmp_path / "new.csv", "n", rows=400, wrong=12)
    prepare = ["prepare", "experiment.toml", "--out", "r"]
    code, _, errors = shops(*prepare)
    assert (code, errors) == (3, f"{WRONG} (--on-bad-row quarantine sets such rows aside)\n")
    assert not (tmp_path / "r").exists()
    prepare += ["--on-bad-row", "quarantine"]
    code, output, errors = shops(*prepare)
    assert (code, errors) == (0, "")
    told = "12 rows were set aside (price: numbers must be numbers), see prepared/inspection/quarantine.jsonl"
    assert f"\nwarning: {told}\n" in output
    run = RunFolder(tmp_path / "r")
    place = run.prepared("inspection")
    aside = [json.loads(line) for line in (place / "quarantine.jsonl").read_text("utf-8").splitlines()]
    assert [(one["file"], one["line"], one["column"]) for one in aside] == [
        ("new.csv", n, "price") for n in range(2, 14)
    ]
    found = json.loads((place / "inspection.json").read_text("utf-8"))
    assert found["set_aside"] == {"price: numbers must be numbers": 12}
    assert found["findings"][0] == {"level": "warning", "about": "rows", "words": told}
    kept = sorted(
        row for part in ("train", "valid", "test") for row in RunFolder(tmp_path / "r").tables()[part].row_ids
    )
    assert kept == list(range(12, 400)), "the others keep their ids"
    reported = run_inspection.of_report(run)
    assert reported is not None
    assert (reported["set_aside"], reported["findings"]) == (found["set_aside"], found["findings"])

    code, output, _ = shops(*prepare)
    assert code == 0
    assert output.startswith("prepared before from the same files and settings: nothing to do\n")
    assert told in output
    code, _, errors = shops(*prepare[:-2])
    assert (code, "data.on_bad_row is 'quarantine' there and 'strict' here" in errors) == (2, True)
    assert shops("verify", "r")[0] == 0
    (place / "quarantine.jsonl").write_text("nothing happened\n")
    code, _, errors = shops("verify", "r")
    assert (code, "quarantine.jsonl" in errors) == (3, True)
    assert shops(*prepare, "--overwrite")[0] == 0
    assert shops("verify", "r")[0] == 0


def test_what_was_set_aside_is_found_again_where_it_was_not_written(shops: Call, tmp_path: Path) -> None:
    shop(tmp_path / "new.csv", "n", rows=400, wrong=1)
    prepare = ["prepare", "experiment.toml", "--out", "r", "--set", "data.on_bad_row=quarantine"]
    assert shops(*prepare)[0] == 0
    place = RunFolder(tmp_path / "r").prepared("inspection")
    before = (place / "quarantine.jsonl").read_bytes()
    shutil.rmtree(place)  # as if stopped just before
    code, output, _ = shops(*prepare)
    assert (code, "warning: 1 row was set aside (price: numbers must be numbers), see" in output) == (0, True)
    assert (place / "quarantine.jsonl").read_bytes() == before


def test_too_many_wrong_rows_of_an_experiment_are_no_accident(shops: Call, tmp_path: Path) -> None:
    shop(tmp_path / "new.csv", "n", rows=400, wrong=41)
    code, _, errors = shops("prepare", "experiment.toml", "--out", "r", "--on-bad-row", "quarantine")
    assert code == 3
    got = "at most 10 % of the rows may be set aside, got 41 of 400 (price: numbers must be numbers)"
    assert errors == f"error: new.csv: {got}; is a setting or a role wrong?\n"
    assert not (tmp_path / "r").exists()


def test_criteo_too_sets_rows_aside_and_a_world_that_is_made_has_none(call: Call, tmp_path: Path) -> None:
    path = criteo(tmp_path / "train.txt", rows=3000)
    path.write_text("\t\n" + path.read_text("utf-8"), "utf-8")
    own = [
        "labels=[1.0]",
        "folds=2",
        "data.name=criteo",
        "data.root=.",
        'data.arguments={column="C1", target="00000001"}',
        "split.by=position",
    ]
    prepare = ["prepare", "--out", "r", *(word for one in own for word in ("--set", one))]
    assert "train.txt" in call(*prepare)[2]
    code, output, errors = call(*prepare, "--on-bad-row", "quarantine")
    assert (code, errors) == (0, "")
    assert "warning: 1 row was set aside (must have 40 fields, one for each name), see" in output
    code, _, errors = call("prepare", "tiny.toml", "--out", "s", "--on-bad-row", "quarantine")
    assert code == 2
    assert "wrong rows can be set aside of the data sets 'criteo' and 'files' alone, got 'synthetic'" in errors
    code, _, errors = call(*prepare, "--set", "data.arguments.quarantine=1")
    assert (code, "wrong rows are set aside with data.on_bad_row" in errors) == (2, True)


def test_a_wrong_row_names_the_way_on_and_a_finished_table_is_verified(call: Call, tmp_path: Path) -> None:
    write(tmp_path / "rows.csv", [{"click": "x" if row == 7 else row % 2, "user": f"u{row % 5}"} for row in range(60)])
    (tmp_path / "roles.toml").write_text('[schema]\nlabel = "click"\ncategorical = ["user"]\n')
    told = ["prepare", "rows.csv", "--roles", "roles.toml", "--out", "p", "--set", "split.by=none"]
    code, _, errors = call(*told)
    assert code == 3
    assert "line 9, column 'click'" in errors
    assert errors.endswith("(--on-bad-row quarantine sets such rows aside)\n")
    assert call(*told, "--on-bad-row", "quarantine")[0] == 0
    code, output, _ = call("verify", "p")
    assert code == 0
    assert re.search(r"^p: \d+ files are as they were written, 59 rows$", output, re.MULTILINE)
    part = tmp_path / "p" / "train" / "part-00000.parquet"
    part.write_bytes(part.read_bytes()[:-1] + b"?")
    code, _, errors = call("verify", "p")
    assert code == 3
    assert "was changed after it was written" in errors


def test_files_in_another_order_than_their_numbers_are_told(call: Call, tmp_path: Path) -> None:
    for day in (1, 10, 2):
        criteo(tmp_path / f"day_{day}", rows=40)
    code, output, _ = call("prepare", "day_1", "day_10", "day_2", "--out", "p")
    assert code == 0
    assert "note: files are read as they are given, day_1 first; a quoted pattern reads them by number" in output
    assert "note: files are read" not in call("prepare", "day_*", "--out", "q")[1]
