"""Settings from TOML and `--set`: what is wrong is said with its path, its value and the nearest name."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError, field_validator

from recdistill.errors import UsageError, nearest
from recdistill.fit_settings import FitSettings
from recdistill.settings import Settings, differences, fill, of_kind, override, read_toml


class Leaf(Settings):
    rate: float = Field(0.1, gt=0)
    hidden: tuple[int, ...] = (8, 4)


class Branch(Settings):
    leaf: Leaf = Leaf()
    spare: Leaf | None = None
    name: str = "plain"
    order: Literal["random", "time"] = "random"

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if not name:
            raise ValueError("a name must be given")
        if name != "plain":
            raise UsageError(f"no such name, {nearest(name, ['plain'])}")
        return name


class Tree(Settings):
    branch: Branch = Branch()
    shares: tuple[Annotated[float, Field(le=1)], ...] = Field((1.0,), min_length=1)
    seeds: int = Field(1, ge=1)
    named: dict[str, Leaf] = {}


words = st.text("abcdefgh", min_size=1, max_size=6)
json_values = st.integers() | st.booleans() | st.text('aé =."#[\\\n') | st.lists(st.integers())


def raised(values: dict[str, Any]) -> str:
    """What `fill` says of values that are wrong."""
    with pytest.raises(UsageError) as caught:
        fill(Tree, values)
    return str(caught.value)


def nested(path: list[str], value: Any) -> dict[str, Any]:
    for key in reversed(path):
        value = {key: value}
    return value


# -------------------------------------------------------------------------------------------------- TOML


def test_toml_is_read_as_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('seeds = 3\n[branch]\nname = "plain"\n[branch.leaf]\nhidden = [1, 2]\n')
    assert read_toml(file) == {"seeds": 3, "branch": {"name": "plain", "leaf": {"hidden": [1, 2]}}}
    assert fill(Tree, read_toml(file)) == Tree(seeds=3, branch=Branch(leaf=Leaf(hidden=(1, 2))))


def test_a_file_says_only_what_differs_from_the_one_that_it_extends(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "base.toml").write_text(
        "seeds = 1\nlabels = [0.1, 1.0]\n[data]\nname = 'a'\nroot = 'here'\n"
    )
    (tmp_path / "team.toml").write_text("extends = 'shared/base.toml'\nseeds = 2\n[data]\nname = 'b'\n")
    (tmp_path / "mine.toml").write_text("extends = 'team.toml'\nlabels = [0.5]\n[teacher]\nmodel = 'dlrm'\n")
    found = read_toml(tmp_path / "mine.toml")
    group = {"name": "b", "root": "here"}
    assert found == {"seeds": 2, "labels": [0.5], "data": group, "teacher": {"model": "dlrm"}}


@pytest.mark.parametrize(
    ("files", "rule"),
    [
        ({"a": "extends = 'a.toml'"}, "a.toml extends itself, through a.toml"),
        ({"a": "extends = 'b.toml'", "b": "extends = 'a.toml'"}, "a.toml extends itself, through a.toml and b.toml"),
        ({"a": "extends = 3"}, "a.toml: extends names a TOML file, got 3"),
        ({"a": "extends = 'b.toml'"}, "b.toml does not exist"),
        ({"a": "extends = 'b.toml'", "b": "x ="}, "b.toml is not TOML"),
    ],
)
def test_what_cannot_be_extended_is_named(tmp_path: Path, files: dict[str, str], rule: str) -> None:
    for name, text in files.items():
        (tmp_path / f"{name}.toml").write_text(text)
    with pytest.raises(UsageError, match=re.escape(rule)):
        read_toml(tmp_path / "a.toml")


def test_toml_that_is_not_there_or_not_toml_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    with pytest.raises(UsageError, match=r"config\.toml does not exist"):
        read_toml(file)
    for content in (b"seeds = ", b"seeds = 1\nseeds = 2", b"[branch", b"seeds = \xff"):
        file.write_bytes(content)
        with pytest.raises(UsageError, match=r"config\.toml is not TOML: "):
            read_toml(file)


# -------------------------------------------------------------------------------------------------- fill


@pytest.mark.parametrize(
    ("path", "tail"),
    [
        ("seed", "did you mean 'seeds'?"),
        ("brunch", "did you mean 'branch'?"),
        ("branch.lief", "did you mean 'leaf'?"),
        ("branch.leaf.ratte", "did you mean 'rate'?"),
        ("branch.spare.hiden", "did you mean 'hidden'?"),
        ("named.anything.raet", "did you mean 'rate'?"),
        ("zzz", "known: branch, shares, seeds, named"),
        ("branch.leaf.zzz", "known: rate, hidden"),
    ],
)
def test_an_unknown_key_is_named_with_its_path_and_the_nearest(path: str, tail: str) -> None:
    assert raised(nested(path.split("."), 1)) == f"unknown setting {path!r}, {tail}"


@pytest.mark.parametrize(
    ("path", "value", "rule"),
    [
        ("seeds", 0, "Input should be greater than or equal to 1, got 0"),
        ("seeds", 1.5, "got 1.5"),
        ("branch.leaf.rate", -2.0, "Input should be greater than 0, got -2.0"),
        ("branch.spare.rate", 0, "Input should be greater than 0, got 0"),
        ("branch.leaf.rate", "fast", "got 'fast'"),
        ("branch.leaf.hidden", 3, "must be a list, e.g. --set 'branch.leaf.hidden=[3]', got 3"),
        ("branch.leaf.hidden", "wide", "must be a list, e.g. --set 'branch.leaf.hidden=[\"wide\"]', got 'wide'"),
        ("branch.leaf.hidden", "[a, b]", "e.g. --set 'branch.leaf.hidden=[\"a\", \"b\"]', got '[a, b]'"),
        ("branch.order", "tme", "Input should be 'random' or 'time', got 'tme', did you mean 'time'?"),
        ("branch.order", "zzz", "Input should be 'random' or 'time', got 'zzz'"),
        ("branch.leaf", 3, "got 3"),
        ("branch.name", "plane", "no such name, did you mean 'plain'?"),
        ("branch.name", "", "a name must be given, got ''"),
    ],
)
def test_a_value_that_breaks_a_rule_is_named_with_its_path(path: str, value: Any, rule: str) -> None:
    said = raised(nested(path.split("."), value))
    assert said.startswith(f"setting {path!r}: ")
    assert said.endswith(rule)


def test_every_problem_has_its_line() -> None:
    said = raised({"seeds": 0, "sids": 1, "branch": {"leaf": {"hidden": [1, "x"]}}})
    assert len(said.splitlines()) == 3
    assert "setting 'branch.leaf.hidden.1': " in said
    assert "unknown setting 'sids', did you mean 'seeds'?" in said


def test_a_wrong_item_says_nothing_of_the_list() -> None:
    assert raised({"shares": [50]}) == "setting 'shares.0': Input should be less than or equal to 1, got 50"
    assert raised({"shares": []}).startswith("setting 'shares': Tuple should have at least 1 item")


@given(st.dictionaries(words, json_values, max_size=4), st.dictionaries(words, json_values, max_size=4))
def test_each_setting_that_differs_is_named_once(there: dict[str, Any], here: dict[str, Any]) -> None:
    lines = differences({"group": there}, {"group": here})
    wanted = [name for name in there.keys() | here.keys() if repr(there.get(name, ...)) != repr(here.get(name, ...))]
    assert [line.partition(" is ")[0] for line in lines] == [f"group.{name}" for name in sorted(wanted)]


@pytest.mark.parametrize("values", [{"sedes": 2}, {"shares": [50]}, {"branch": {"leaf": {"rate": 0}}}])
def test_python_says_what_a_file_would_say(values: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as told:
        Tree(**values)
    assert str(told.value) == raised(values)


def test_settings_of_another_kind_are_refused_by_name() -> None:
    assert of_kind(Leaf, None, "leaves") == Leaf()
    assert of_kind(Leaf, Leaf(rate=2), "leaves").rate == 2
    for other, kind in ((Branch(), "Branch"), ({"rate": 2}, "dict")):
        with pytest.raises(UsageError, match=f"^leaves must be Leaf, got {kind}$"):
            of_kind(Leaf, other, "leaves")


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Tree().seeds = 2  # type: ignore[misc]


# ------------------------------------------------------------------------------------------------- --set


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4", 4),
        ("-1", -1),
        ("1e-3", 0.001),
        ("0.5", 0.5),
        ("true", True),
        ("false", False),
        ("True", "True"),
        ("[8, 4]", [8, 4]),
        ('["a", "b"]', ["a", "b"]),
        ("[]", []),
        ("plain", "plain"),
        ("some/folder", "some/folder"),
        ('"4"', "4"),
        ("'a b'", "a b"),
        ("a=b", "a=b"),
        ("[8, 4", "[8, 4"),
        ("", ""),
        (" 4 ", 4),
        ("{ rate = 0.5 }", {"rate": 0.5}),
    ],
)
def test_what_is_set_is_toml_or_else_text(text: str, value: Any) -> None:
    found = override({}, [f"key={text}"])["key"]
    assert found == value
    assert type(found) is type(value)


@given(st.lists(words, min_size=1, max_size=4), json_values)
def test_a_dotted_path_makes_its_groups(path: list[str], value: Any) -> None:
    assert override({}, [f"{'.'.join(path)}={json.dumps(value)}"]) == nested(path, value)


@given(st.dictionaries(words, st.integers() | st.dictionaries(words, st.integers(), max_size=3), max_size=3), words)
def test_setting_changes_one_place_and_not_what_it_was_given(values: dict[str, Any], key: str) -> None:
    before = copy.deepcopy(values)
    assert override(values, []) == before
    assert override(values, [f"{key}=7"]) == {**before, key: 7}
    for group, inner in before.items():
        if isinstance(inner, dict):
            assert override(values, [f"{group}.{key}=7"]) == {**before, group: {**inner, key: 7}}
            continue
        with pytest.raises(UsageError, match=f"--set '{group}.{key}=7': '{group}' is a value, not a group"):
            override(values, [f"{group}.{key}=7"])
    assert values == before


def test_the_last_of_two_assignments_holds() -> None:
    changed = override({"branch": {"name": "plain"}}, ["branch.leaf.rate=1", "seeds=2", "branch.leaf.rate=0.5"])
    assert changed == {"branch": {"name": "plain", "leaf": {"rate": 0.5}}, "seeds": 2}
    assert fill(Tree, changed).branch.leaf.rate == 0.5
    with pytest.raises(UsageError, match="'seeds' is a value, not a group of settings"):
        override({}, ["seeds=2", "seeds.first=1"])


@pytest.mark.parametrize("assignment", ["seeds", "", "=3", " =3"])
def test_an_assignment_needs_a_key_and_a_value(assignment: str) -> None:
    with pytest.raises(UsageError, match=f"--set must be key=value, got '{assignment}'"):
        override({}, [assignment])


# ----------------------------------------------------------------------------------------------- nearest


@given(words, st.lists(words, max_size=5))
def test_the_nearest_is_a_known_name_or_all_are_listed(word: str, known: list[str]) -> None:
    said = nearest(word, known)
    if word in known:
        assert said == f"did you mean {word!r}?"
    elif said.startswith("did you mean"):
        assert said in {f"did you mean {name!r}?" for name in known}
    else:
        assert said == f"known: {', '.join(known) or 'none'}"


def test_the_nearest_is_found_in_whatever_case() -> None:
    assert nearest("MPL", ["deepfm", "mlp"]) == "did you mean 'mlp'?"
    assert nearest("clickk", ["CLICK", "clicks"]) == "did you mean 'clicks'?", "the same case comes first"


def test_a_group_that_is_given_in_part_keeps_the_defaults_of_its_place() -> None:
    from recdistill.configuration import Config

    default = Config().teacher.fit
    assert default.batch_size != FitSettings().batch_size
    changed = fill(Config, override({}, ["teacher.fit.epochs=3"])).teacher.fit
    assert changed == default.model_copy(update={"epochs": 3})
    assert Config(teacher={"fit": {"epochs": 3}}).teacher.fit == changed  # type: ignore[arg-type]
    assert Config.model_validate(Config().model_dump()) == Config()
