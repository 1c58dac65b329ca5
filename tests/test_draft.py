"""The first draft for a user's own files: what it guesses and why, and that the TOML it writes can be loaded."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny import Call

from recdistill.configuration import Config, SplitSettings
from recdistill.datasets import load
from recdistill.draft import Draft, draft, questions, summary, write_page
from recdistill.draft.leaks import without_leaks
from recdistill.draft.page import SPLITS
from recdistill.draft.profiles import profile
from recdistill.draft.roles import guess
from recdistill.errors import DataError, UsageError
from recdistill.readers import Rows
from recdistill.settings import fill

ROWS = 200
RNG = np.random.default_rng(0)
DRAWN = RNG.random(ROWS)
# name in the source, name in the target, values
SHOP: list[tuple[str, str, Sequence[Any]]] = [
    ("customerId", "user_id", [f"{i % 17:03d}" for i in range(ROWS)]),
    ("Product", "item_id", [i * 7 % 31 for i in range(ROWS)]),
    ("region", "area", [("north", "south", "west")[i % 3] for i in range(ROWS)]),
    ("tags", "tags", ["|".join("abcde"[j] for j in range(1 + i % 4)) for i in range(ROWS)]),
    ("price_eur", "price", [f"{x:.3f}" for x in DRAWN]),
    ("emb", "emb", [f"{x:.2f};{1 - x:.2f};0.5" for x in DRAWN]),
    ("event_time", "ts", [f"2024-01-{1 + i % 28:02d} 10:00:00" for i in range(ROWS)]),
    ("bought", "click", [int(x > 0.6) for x in DRAWN]),
    ("dwell", "", [f"{3 * x:.3f}" for x in DRAWN]),
    ("note", "", [f"text {i}" for i in range(ROWS)]),
    ("", "banner", [("x", "y")[i % 2] for i in range(ROWS)]),
    ("", "score", [f"{0.1 + 0.8 * x:.4f}" for x in DRAWN]),
]


def write(path: Path, columns: Mapping[str, Sequence[Any]], delimiter: str = ",") -> Path:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, delimiter=delimiter)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A source and a target file with other names, in a folder below the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    write(Path("data/old.csv"), {old: values for old, _, values in SHOP if old})
    write(Path("data/new.csv"), {new: values for _, new, values in SHOP if new})
    return [Path("data/old.csv"), Path("data/new.csv")]


def toml(made: Draft, name: str = "experiment.toml") -> dict[str, Any]:
    write_page(made, Path(name), force=True)
    return tomllib.loads(Path(name).read_text())


def roles(made: Draft) -> dict[str, str]:
    return {name: one.role for name, one in made.guesses.items()}


def test_two_files_with_other_names_are_mapped(shop: list[Path]) -> None:
    given = toml(draft(shop))
    arguments = given["data"]["arguments"]
    assert given["data"]["root"] == "data"
    assert (arguments["source"], arguments["target"]) == ("old.csv", "new.csv")
    assert arguments["columns"] == {old: new for old, new, _ in SHOP if old and new and old != new}
    assert arguments["schema"] == {
        "label": "click",
        "score": "score",
        "user": "user_id",
        "item": "item_id",
        "time": "ts",
        "categorical": ["user_id", "item_id", "area"],
        "multi": ["tags"],
        "number": ["price", "dwell"],
        "vector": ["emb"],
        "privileged": ["dwell"],
    }
    assert arguments["csv"] == {"separators": {"emb": ";"}}
    assert given["split"] == {"by": "time"}


def test_the_draft_loads_as_it_is(shop: list[Path]) -> None:
    data = toml(draft(shop))["data"]
    source, target = load("files", data["root"], data["arguments"])
    assert source is not None
    assert (len(source), len(target)) == (ROWS, ROWS)
    assert source.numpy("user_id")[:2].tolist() == ["000", "001"]
    assert source.schema.features == target.schema.features


def test_every_guess_has_a_comment_that_says_why(shop: list[Path]) -> None:
    toml(draft(shop))
    page = Path("experiment.toml").read_text()
    for line in (
        "\"area\",  # text; 3 distinct, e.g. 'north', 'south', 'west'",
        '"region" = "area"  # 100 % of its values are there too',
        '"price_eur" = "price"  # nearly the same name, and the same kind',
        'user = "user_id"  # named like a user; 17 distinct',
        '# left out: "note": a text of its own in nearly every row',
        '# left out: "banner": only the target has it, so no teacher could learn it',
        '# scores = "probability"',
        "# Only the source has these: for the teacher alone, and not used unless [teacher] hidden is below 1.",
        "# hidden = 0.5  # hides what only the source has",
        'by = "time"  # or "random", "user", "position", "last"',
        "recdistill run experiment.toml --out runs/mine",
    ):
        assert line in page
    lines = summary(draft(shop))
    assert "  area     categorical: text; 'region' in the source" in lines
    assert "  dwell    number, privileged: numbers" in lines


def test_one_file_gets_ways_to_tell_its_domains_apart(shop: list[Path]) -> None:
    columns = {new: values for _, new, values in SHOP if new and new != "score"}
    given = toml(draft([write(Path("one.csv"), columns)]), "one.toml")
    page = Path("one.toml").read_text()
    assert '# domain = { column = "ts", at = 0.6 }' in page
    assert '# domain = { column = "area", source = ["north", "south"], target = ["west"] }' in page
    data = given["data"]
    assert data["root"] == "."
    with pytest.raises(UsageError, match="needs a source file, a domain"):
        load("files", data["root"], data["arguments"])
    named = tomllib.loads(page.replace('# domain = { column = "area"', 'domain = { column = "area"'))["data"]
    source, target = load("files", named["root"], named["arguments"])
    assert source is not None
    assert len(source) + len(target) == ROWS


def test_one_file_with_scores_needs_no_source(shop: list[Path]) -> None:
    given = toml(draft(shop[1:]))
    assert given["teacher"] == {"scores": "probability"}
    source, target = load("files", given["data"]["root"], given["data"]["arguments"])
    assert source is None
    assert len(target) == ROWS


def test_without_a_label_the_toml_and_the_run_say_so(shop: list[Path]) -> None:
    columns = {new or old: values for old, new, values in SHOP if new != "click"}
    given = toml(draft([write(Path("a.csv"), columns | {"promo": [i % 2 for i in range(ROWS)]})]))
    page = Path("experiment.toml").read_text()
    assert '# label = "..."  # no column looks like a click: name yours, or the run stops here; is it "promo"?' in page
    with pytest.raises(UsageError, match=r"must name the label, .* set data.arguments.schema.label"):
        load("files", ".", given["data"]["arguments"])


def test_a_rating_without_a_label_gets_its_grades(shop: list[Path]) -> None:
    columns = {"user": [i % 9 for i in range(ROWS)], "stars": [1 + i % 5 for i in range(ROWS)]}
    schema = toml(draft([write(Path("a.csv"), columns)]))["data"]["arguments"]["schema"]
    assert (schema["rating"], schema["grades"]) == ("stars", [1, 2, 3, 4, 5])


@pytest.mark.parametrize(
    ("name", "values", "role"),
    [
        ("click", [0, 1], "label"),
        ("isClicked", ["true", "false"], "label"),
        ("y", [True, False], "label"),
        ("click", [0, 1, 2], "categorical"),
        ("pctr", [0.1, 0.2, 0.9], "score"),
        ("score", [0.0, 0.2, 0.9], "number"),
        ("rating", [1, 2, 3], "rating"),
        ("memberId", ["a", "b"], "user"),
        ("user_age", [0.5, 1.5], "number"),
        ("item_price", [0.5, 1.5], "number"),
        ("ASIN", ["B0", "B1"], "item"),
        ("created_at", ["2024-01-01", "2024-01-02"], "time"),
        ("birthday", ["2024-01-01", "2024-01-02"], ""),
        ("timestamp", list(range(50)), "time"),
        ("row_id", list(range(50)), "row_id"),
        ("row_id", [1, 1, 2], "categorical"),
        ("row_id", [f"{1700000000 + row}.0" for row in range(50)], ""),
        ("row_id", [f"100000000017000001{row}" for row in range(10, 60)], ""),
        ("row_id", pa.array(range(2**63, 2**63 + 50), pa.uint64()), ""),
        ("score", [" 0.49", "0.2 ", "+0.3"], "score"),
        ("zip", ["01234", "98765"] * 20, "categorical"),
        ("zip", list(range(100)) * 2, "categorical"),
        ("size", list(range(100)) * 2, "number"),
        ("hour", list(range(20)) * 2, "categorical"),
        ("size", ["1", "2.5", None], "number"),
        ("id", list(range(50)), ""),
        ("constant", [1, 1, 1], ""),
        ("nothing", pa.array([None, None], pa.string()), ""),
        ("review", [f"it is item {i}" for i in range(50)], ""),
        ("genres", [["a"], ["a", "b"]], "multi"),
        ("genres", ["a,b", "b,c", "a,c", "c"], "multi"),
        ("title", ["Up, down", "In, out"], "categorical"),
        ("emb", [[0.1, 0.2], [0.3, 0.4]], "vector"),
        ("emb", [[0.1, 0.2], [0.3]], "multi"),
        ("emb", ["[0.1, 0.2]", "[1e-3, 2]"], "vector"),
        ("when_built", pa.array([1, 2], pa.timestamp("s")), ""),
        ("flag", [True, False], "categorical"),
        ("raw", [b"a", b"b"], ""),
        ("click", [{"a": 1}, {"a": 0}], ""),
        ("price", pa.array(["1.50", "2.25"]).cast(pa.decimal128(5, 2)), "number"),
        ("void", pa.nulls(3), ""),
        ("city", pa.array(["a", "b", "a"]).dictionary_encode(), "categorical"),
    ],
)
def test_roles_are_guessed_by_names_and_values(name: str, values: Any, role: str) -> None:
    column = values if isinstance(values, pa.Array) else pa.array(values)
    assert guess([profile(name, column)])[name].role == role


def test_of_several_answers_one_is_the_label_and_none_a_feature() -> None:
    flags = pa.array([0, 1, 1])
    guesses = guess([profile(name, flags) for name in ("is_purchased", "click", "promo")])
    assert {name: one.role for name, one in guesses.items()} == {
        "is_purchased": "",
        "click": "label",
        "promo": "categorical",
    }


def test_columns_that_disagree_are_left_out(shop: list[Path]) -> None:
    old = write(Path("a.csv"), {"k": ["a|b", "a", "b|a"] * 9, "n": ["x", "y", "x"] * 9, "c": [0, 1, 1] * 9})
    new = write(Path("b.csv"), {"k": range(27), "n": range(27), "c": [0, 1, 1] * 9, "user": ["u", "v", "w"] * 9})
    made = draft([old, new])
    assert roles(made) == {"k": "", "n": "categorical", "c": "categorical", "user": "user"}
    assert made.guesses["k"].why == "number here, but in the source multi"
    assert toml(made)["data"]["arguments"]["schema"]["categorical"] == ["n", "c"], "the source has no user column"


@pytest.mark.parametrize(("first", "role"), [(0, ""), (100, "row_id")])
def test_row_ids_are_used_where_they_never_meet(tmp_path: Path, first: int, role: str) -> None:
    paths = []
    for name, start in (("a.parquet", 0), ("b.parquet", first)):
        table = {"row_id": range(start, start + 5), "click": [0, 1, 0, 1, 0]}
        pq.write_table(pa.table({key: list(values) for key, values in table.items()}), tmp_path / name)
        paths.append(tmp_path / name)
    made = draft(paths)
    assert roles(made)["row_id"] == role


def test_row_ids_of_one_file_alone_are_left_out(tmp_path: Path) -> None:
    for name, ids in (("a.csv", ["x", "y", "x"]), ("b.csv", [1, 2, 3])):
        write(tmp_path / name, {"row_id": ids, "click": [0, 1, 0]})
    one = draft([tmp_path / "a.csv", tmp_path / "b.csv"]).guesses["row_id"]
    assert (one.role, one.why) == ("", "no row id in the source, so rows are numbered by position")


def test_how_text_files_are_written_is_found_out(shop: list[Path]) -> None:
    columns = {"size": [1.5, "NA", 2.5] * 9, "country": ["NA", "FR", "DE"] * 9, "click": [1, *[0, 1] * 13]}
    made = draft([write(Path("a.csv"), columns, ";"), write(Path("b.csv"), columns, ";")])
    assert toml(made)["data"]["arguments"]["csv"] == {"delimiter": ";", "missing": ["", "NA"]}
    assert roles(made) == {"size": "number", "country": "categorical", "click": "label"}
    with pytest.raises(DataError, match=r"must have one delimiter, got ';' in a.csv and ',' in b.csv"):
        draft([Path("a.csv"), write(Path("b.csv"), columns)])


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A source in German and a target in English: no name says which column is which."""
    monkeypatch.chdir(tmp_path)
    clicks, users = [int(x > 0.6) for x in DRAWN], [f"K{i % 41}" for i in range(ROWS)]
    own = {"verweildauer": [f"{300 * x:.1f}" for x in DRAWN], "filiale": [("a", "b")[i % 2] for i in range(ROWS)]}
    source = {"kunde": users, "preis": [f"{9 * x:.2f}" for x in DRAWN], "gekauft": clicks, "neu": [0, 1] * 100, **own}
    target = {"visitor": [f"V{i % 37}" for i in range(ROWS)], "price": [f"{8 * x:.2f}" for x in DRAWN]}
    return [write(Path("alt.csv"), source), write(Path("neu.csv"), target | {"purchased": clicks})]


def test_a_role_without_a_counterpart_is_asked_for_with_candidates(foreign: list[Path]) -> None:
    made = draft(foreign)
    assert questions(made) == [
        'answer before the run: "visitor" has no counterpart in alt.csv: is it "kunde"?',
        'answer before the run: "purchased" has no counterpart in alt.csv: is it "gekauft" or "neu"?',
    ]
    assert made.guesses["gekauft"].why == "it may be the target's 'purchased'"
    assert made.privileged == ("preis", "verweildauer", "filiale")
    data = toml(made)["data"]
    with pytest.raises(UsageError, match=r"alt.csv has no column 'purchased'"):
        load("files", data["root"], data["arguments"])
    page = Path("experiment.toml").read_text()
    for line in ('"gekauft" = "purchased"', '"kunde" = "visitor"'):
        assert f"\n# {line}  # is it? " in page
        page = page.replace(f"# {line}", line)
    data = tomllib.loads(page)["data"]
    source, _ = load("files", data["root"], data["arguments"])
    assert source is not None
    assert (source.schema.label, source.schema.user) == ("purchased", "visitor")


def test_init_ends_with_what_must_be_answered(call: Call, foreign: list[Path]) -> None:
    code, output, _ = call("init", *map(str, foreign))
    assert code == 0
    assert output.splitlines()[-3:-1] == questions(draft(foreign))


def test_what_is_known_after_the_click_is_found_by_the_one_candidate_for_the_label(foreign: list[Path]) -> None:
    clicks = [int(x > 0.6) for x in DRAWN]
    source = {"umsatz": [x if click else "" for x, click in zip(DRAWN, clicks, strict=True)], "gekauft": clicks}
    made = draft([write(Path("a.csv"), source), foreign[1]])
    assert questions(made)[1:] == [
        'check: "umsatz" is left out: filled only where the label is 1: known after the click'
    ]
    assert not made.privileged
    made = draft([write(Path("a.csv"), source | {"neu": [0, 1] * 100}), foreign[1]])
    assert made.privileged == ("umsatz",), "which of two flags is the label, nobody knows yet"


def test_a_label_without_any_candidate_is_asked_for(foreign: list[Path]) -> None:
    made = draft([write(Path("leer.csv"), {"preis": DRAWN, "dauer": 300 * DRAWN}), foreign[1]])
    assert questions(made) == ['answer before the run: "purchased" has no counterpart in leer.csv: which column is it?']
    toml(made)
    assert '# "..." = "purchased"  # which column is it?' in Path("experiment.toml").read_text()


@pytest.mark.parametrize(
    ("own", "asked"),
    [
        ({"preis": 1000 * DRAWN, "dauer": DRAWN}, {"preis": "a similar name"}),
        ({"wert": 1.2 * DRAWN, "dauer": 300 * DRAWN}, {"wert": "a similar range"}),
        ({"dauer": 300 * DRAWN}, {}),
    ],
)
def test_a_number_that_the_target_alone_has_may_be_one_of_the_sources(
    tmp_path: Path, own: Mapping[str, Sequence[float]], asked: dict[str, str]
) -> None:
    click = [i % 2 for i in range(ROWS)]
    files = [
        write(tmp_path / "a.csv", {**own, "click": click}),
        write(tmp_path / "b.csv", {"price": DRAWN, "click": click}),
    ]
    made = draft(files)
    assert made.asked == ({"price": asked} if asked else {})
    assert set(made.privileged) == set(own), "a guess changes no roles"
    assert not questions(made)
    write_page(made, tmp_path / "mine.toml")
    page = (tmp_path / "mine.toml").read_text()
    assert all(f'# "{old}" = "price"  # is it? {why}' in page for old, why in asked.items())


@pytest.mark.parametrize(
    ("filled", "kept"),
    [
        (lambda click, x: x if click else None, False),
        (lambda click, x: x if click else 0.0, False),
        (lambda click, x: x if click and x < 0.5 else None, False),
        (lambda click, x: x, True),
        (lambda click, x: x if x < 0.5 else None, True),
        (lambda click, x: x if click and x < 0.02 else None, True),
        (lambda click, x: None if click else x, True),
    ],
    ids=["missing", "constant", "some clicks", "a number", "any row", "too few to say", "no click"],
)
@pytest.mark.parametrize("answers", [["0", "1"], [0, 1], [0.0, 1.0], [False, True], [" FALSE", "true "]], ids=str)
def test_what_only_clicked_rows_have_is_left_out(filled: Any, kept: bool, answers: list[Any]) -> None:
    clicks = [i % 2 for i in range(ROWS)]
    columns = {
        "click": pa.array([answers[click] for click in clicks] + [None]),
        "revenue": pa.array([filled(*pair) for pair in zip(clicks, DRAWN.tolist(), strict=True)] + [0.5]),
    }
    rows = Rows(Path("a.parquet"), pa.table(columns))
    made = without_leaks(rows, guess([profile(name, column) for name, column in columns.items()]), "click")
    assert made["click"].role == "label"
    assert (made["revenue"].role == "number") == kept


@pytest.mark.parametrize("side", ["one", "source", "target"])
def test_what_is_known_after_the_click_is_to_be_checked(tmp_path: Path, side: str) -> None:
    click = [i % 2 for i in range(ROWS)]
    clean = {"click": click, "revenue": DRAWN}
    leaking = write(tmp_path / "a.csv", clean | {"revenue": [x * y or "" for x, y in zip(click, DRAWN, strict=True)]})
    other = write(tmp_path / "b.csv", clean)
    made = draft({"one": [leaking], "source": [leaking, other], "target": [other, leaking]}[side])
    (line,) = questions(made)
    assert line.startswith('check: "revenue" is left out: ')
    assert line.endswith("filled only where the label is 1: known after the click")
    assert made.guesses["revenue"].role == ""
    assert not made.privileged


def test_the_ways_to_split_are_all_and_those_that_the_columns_allow(shop: list[Path]) -> None:
    assert set(SPLITS) == set(get_args(SplitSettings.model_fields["by"].annotation))
    fill(Config, toml(draft(shop)))
    toml(draft([write(Path("a.csv"), {"click": [0, 1, 1] * 9, "size": range(27)})]), "a.toml")
    assert 'by = "random"  # or "position"\n' in Path("a.toml").read_text()


def test_any_text_is_written_as_toml(shop: list[Path]) -> None:
    marks = ["\U0001f600", 'q"\\', "del\x7f"]
    columns = {
        "mood \U0001f600\x7f": marks * 9,
        "list": ["a\U0001f600b", "b\U0001f600a", "a"] * 9,
        "click": [1, *[0, 1] * 13],
    }
    made = draft([write(Path("one.csv"), columns)])
    assert toml(made)["data"]["arguments"]["schema"]["categorical"][0] == "mood \U0001f600\x7f"
    text = Path("experiment.toml").read_text("utf-8").replace("# domain = ", "domain = ", 1)
    domain = tomllib.loads(text)["data"]["arguments"]["domain"]
    assert domain["column"] == "mood \U0001f600\x7f"
    assert sorted(domain["source"] + domain["target"]) == sorted(marks)


def test_the_command_can_be_typed_as_it_is(shop: list[Path]) -> None:
    toml(draft(shop), "my draft.toml")
    assert "#   recdistill run 'my draft.toml' --out runs/mine" in Path("my draft.toml").read_text("utf-8")


def test_nothing_is_overwritten_without_force(shop: list[Path]) -> None:
    Path("mine.toml").write_text("precious")
    with pytest.raises(UsageError, match=r"mine.toml is there already; pass --force to replace it"):
        write_page(draft(shop), Path("mine.toml"))
    assert Path("mine.toml").read_text() == "precious"


def test_files_are_one_or_two(shop: list[Path]) -> None:
    for files in ([], shop * 2):
        with pytest.raises(UsageError, match="one file, or a source and a target file, got"):
            draft(files)
    with pytest.raises(DataError, match=r"data/odl.csv is missing, did you mean 'data/old.csv'"):
        draft([Path("data/odl.csv")])
