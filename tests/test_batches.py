"""Batches: each row once, the same steps on every rank, and any step found again."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import prepared
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recdistill import batches as batches_module
from recdistill import windows as windows_module
from recdistill.batches import Batches
from recdistill.encoded_rows import EncodedRows
from recdistill.errors import DataError, UsageError
from recdistill.examples import Examples
from recdistill.part_files import RowGroup
from recdistill.prepared_table import PreparedTable
from recdistill.soft_labels import SoftLabels
from recdistill.tables import Table, concat
from recdistill.windows import ahead, pieces, places

ROWS = [prepared.made(40, seed=1), prepared.made(25, seed=2, first=1_000), prepared.made(36, seed=3, first=2_000)]
WHOLE = concat(ROWS)
ENCODER = prepared.fitted(ROWS[0])
LARGE = 1 << 30


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> PreparedTable:
    folder = tmp_path_factory.mktemp("prepared") / "made"
    splits = {"train": [ROWS[0], None, *ROWS[1:]], "valid": [prepared.made(30, seed=4, first=3_000)]}
    return PreparedTable.read(prepared.write(folder, splits, ENCODER, group_rows=7))


def told(found: Examples) -> list[tuple[Any, ...]]:
    """Each row as a value, lists without their padding, NaN as -9."""
    columns = [torch.nan_to_num(tensor.float(), -9.0).reshape(len(found), -1).tolist() for tensor in found.tensors()]
    return [tuple(tuple(v for v in values if v != -1) for values in row) for row in zip(*columns, strict=True)]


def rows_of(batches: Iterator[Examples]) -> list[tuple[Any, ...]]:
    return [row for batch in batches for row in told(batch)]


def equal(a: Examples, b: Examples) -> bool:
    pairs = zip(a.tensors(), b.tensors(), strict=True)
    return all(torch.equal(torch.nan_to_num(x, -9.0), torch.nan_to_num(y, -9.0)) for x, y in pairs)


KINDS = st.sampled_from([{"memory": LARGE}, {"window_rows": 13}, {"window_rows": 40}])
SIZES, EPOCHS, SEEDS = st.integers(1, 13), st.integers(0, 3), st.integers(0, 3)


@settings(max_examples=60)
@given(how=KINDS, size=SIZES, epoch=EPOCHS, seed=SEEDS, world=st.integers(1, 5), shuffle=st.booleans())
def test_ranks_make_the_same_steps_and_share_no_row(
    table: PreparedTable, how: dict[str, int], size: int, epoch: int, seed: int, world: int, shuffle: bool
) -> None:
    dealt = [
        Batches(table, batch_size=size, seed=seed, shuffle=shuffle, rank=rank, world=world, **how)
        for rank in range(world)
    ]
    found = [[told(batch) for batch in batches.epoch(epoch)] for batches in dealt]
    sizes = {tuple(map(len, batches)) for batches in found}
    assert len(sizes) == 1, "the same steps of the same sizes"
    assert len(sizes.pop()) == dealt[0].steps
    rows = sorted(row for batches in found for batch in batches for row in batch)
    every = sorted(told(Examples.of(ENCODER, WHOLE)))
    assert len(set(every)) == len(every)
    assert len(rows) == len(set(rows)) == len(every) - len(every) % world
    assert set(rows) <= set(every)
    if world == 1:
        assert rows == every


@settings(max_examples=50)
@given(how=KINDS, size=SIZES, epoch=EPOCHS, world=st.integers(1, 3), last=st.booleans(), data=st.data())
def test_an_epoch_resumed_at_a_step_is_the_tail_of_the_whole(
    table: PreparedTable, how: dict[str, int], size: int, epoch: int, world: int, last: bool, data: st.DataObject
) -> None:
    batches = Batches(table, batch_size=size, rank=world - 1, world=world, drop_last=last, **how)
    require_tail(batches, epoch, data.draw(st.integers(0, batches.steps)))


@pytest.mark.parametrize("how", [{"memory": LARGE}, {"window_rows": 20}], ids=["memory", "windowed"])
def test_every_step_of_an_epoch_can_be_resumed_at(table: PreparedTable, how: dict[str, int]) -> None:
    batches = Batches(table, batch_size=9, **how)
    for start in range(batches.steps + 1):
        require_tail(batches, 2, start)


def require_tail(batches: Batches, epoch: int, start: int) -> None:
    whole, tail = list(batches.epoch(epoch)), list(batches.epoch(epoch, start=start))
    assert len(tail) == len(whole) - start
    assert all(equal(a, b) for a, b in zip(tail, whole[start:], strict=True))


@pytest.mark.parametrize("how", [{"memory": LARGE}, {"window_rows": 20}], ids=["memory", "windowed"])
def test_without_shuffling_rows_come_in_the_order_of_the_input(table: PreparedTable, how: dict[str, int]) -> None:
    batches = Batches(table, batch_size=9, shuffle=False, **how)
    assert rows_of(batches.epoch(0)) == rows_of(batches.epoch(5)) == told(Examples.of(ENCODER, WHOLE))
    assert [len(batch) for batch in batches.epoch(0)] == [9] * 11 + [2]


@pytest.mark.parametrize("how", [{"memory": LARGE}, {"window_rows": 20}], ids=["memory", "windowed"])
def test_the_order_depends_on_seed_and_epoch_alone(table: PreparedTable, how: dict[str, int]) -> None:
    first = rows_of(Batches(table, batch_size=9, **how).epoch(1))
    assert rows_of(Batches(table, batch_size=9, **how).epoch(1)) == first
    for other in (Batches(table, batch_size=9, **how).epoch(2), Batches(table, batch_size=9, seed=1, **how).epoch(1)):
        rows = rows_of(other)
        assert rows != first
        assert sorted(rows) == sorted(first)


def test_in_memory_the_order_is_that_of_a_table(table: PreparedTable) -> None:
    from recdistill.sources import InMemory

    mine = Batches(table, batch_size=9, seed=3, memory=LARGE)
    assert rows_of(mine.epoch(2)) == rows_of(InMemory(Examples.of(ENCODER, WHOLE), 9, 3).epoch(2))


def test_a_window_mixes_several_row_groups(table: PreparedTable) -> None:
    """Rows of a group are dealt over the batches of its window, which holds groups from all over the input."""
    place = {int(row): position for position, row in enumerate(WHOLE.row_ids)}
    windowed = Batches(table, batch_size=7, window_rows=35)
    (rows, order), *_ = windowed._windows(0, 0)
    groups = {place[int(row)] // 7 for row in rows.row_id}
    assert len(groups) >= 5
    assert order.tolist() != sorted(order.tolist())
    assert rows.row_id.tolist() != sorted(rows.row_id.tolist()), "groups are in random order"


def test_lists_are_padded_to_the_longest_of_the_batch(table: PreparedTable) -> None:
    for batch in Batches(table, batch_size=3, window_rows=20).epoch(0):
        tags = batch.features.multi[0]
        assert (tags >= 0).any(0).all(), "no column of padding alone"
        assert ((tags[:, 1:] >= 0) <= (tags[:, :-1] >= 0)).all()
        assert (tags[:, 0] >= 0).all(), "an empty list is the unseen id"
        batch.features.check(ENCODER.spec)


def test_what_a_resumed_epoch_skips_is_not_read(table: PreparedTable, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[RowGroup] = []
    real = PreparedTable.read_group

    def counting(self: PreparedTable, group: RowGroup) -> EncodedRows:
        read.append(group)
        return real(self, group)

    monkeypatch.setattr(PreparedTable, "read_group", counting)
    batches = Batches(table, batch_size=5, window_rows=20)
    list(batches.epoch(0))
    assert len(read) == len(set(read)) == len(table.groups("train")), "each group is read once"
    read.clear()
    list(batches.epoch(0, start=17))
    assert len(read) <= 5, "of the 101 rows the last 21 are wanted, in groups of at most 7"
    read.clear()
    assert list(batches.epoch(0, start=batches.steps)) == []
    assert read == []


def test_an_epoch_left_early_leaves_no_thread(table: PreparedTable) -> None:
    before = threading.active_count()
    epoch = Batches(table, batch_size=5, window_rows=20).epoch(0)
    next(epoch)
    assert threading.active_count() == before + 1
    epoch.close()
    assert threading.active_count() == before


def test_what_goes_wrong_in_reading_ahead_is_told() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise DataError("page 2 is damaged")

    found = ahead(failing())
    assert next(found) == 1
    with pytest.raises(DataError, match="page 2 is damaged"):
        next(found)


@given(st.data())
def test_pieces_and_places_are_where_the_rows_of_the_line_are(data: st.DataObject) -> None:
    counts = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=6).filter(any))
    order = np.array(data.draw(st.permutations(range(len(counts)))))
    begin = data.draw(st.integers(0, sum(counts) - 1))
    end = data.draw(st.integers(begin + 1, sum(counts)))
    line = [(group, row) for group in order.tolist() for row in range(counts[group])]
    found = [(group, row) for group, low, high in pieces(counts, order, begin, end) for row in range(low, high)]
    assert found == line[begin:end]
    rows = [(group, row) for group, count in enumerate(counts) for row in range(count)]
    assert [rows[place] for place in places(counts, order, begin, end)] == found


def test_unlabelled_rows_can_be_left_out(table: PreparedTable) -> None:
    labelled = WHOLE.take(WHOLE.labelled)
    for how in ({"memory": LARGE}, {"window_rows": 20}):
        batches = Batches(table, batch_size=9, labelled=True, shuffle=False, **how)
        assert batches.rows == len(labelled) < len(WHOLE)
        assert rows_of(batches.epoch(0)) == told(Examples.of(ENCODER, labelled))


@pytest.mark.parametrize("schema", [prepared.CLICKS, prepared.RATINGS], ids=["clicks", "ratings"])
@pytest.mark.parametrize("how", [{"memory": LARGE}, {"window_rows": 20}], ids=["memory", "windowed"])
def test_teacher_logits_are_joined_by_row_id(tmp_path: Path, schema: Any, how: dict[str, int]) -> None:
    rows = prepared.made(60, schema=schema)
    swapped = Table(rows.arrow.take(np.random.default_rng(0).permutation(60)), schema)  # row ids in no order
    table = PreparedTable.read(prepared.write(tmp_path / "made", {"train": [swapped]}, ENCODER, group_rows=7))
    shape = (60,) if schema.classes == 1 else (60, schema.classes)
    logits = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    facts = {"teacher": "t", "rows_fingerprint": table.split_fingerprint("train"), "grades": schema.class_grades}
    soft = SoftLabels(table.row_ids("train"), logits, **facts)
    batches = Batches(table, batch_size=9, **how).with_teacher(soft)
    wanted = told(Examples.of(ENCODER, swapped).with_teacher(logits))
    assert sorted(rows_of(batches.epoch(0))) == sorted(wanted)
    assert next(batches.epoch(0)).taught.all()
    with pytest.raises(DataError, match="soft labels were made for rows other, got rows "):
        Batches(table).with_teacher(SoftLabels(soft.row_ids, logits, **{**facts, "rows_fingerprint": "other"}))


def test_memory_decides_and_bounds_what_is_held(table: PreparedTable, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = sum(group.bytes for group in table.groups("train"))
    assert Batches(table, memory=2 * whole).in_memory
    small = Batches(table, batch_size=4, memory=whole)
    assert not small.in_memory
    assert small._size % 4 == 0
    largest = max(group.bytes for group in table.groups("train"))
    assert 3 * small._size * whole / 101 + 2 * largest <= whole
    needed = whole + 8 * 101 + 2 * largest
    assert Batches(table, memory=needed).in_memory
    assert not Batches(table, batch_size=4, memory=needed - 1).in_memory
    assert not Batches(table, batch_size=4, window_rows=8, memory=LARGE).in_memory
    with pytest.raises(DataError, match=r"windows of one batch need [0-9,]+ bytes, got memory=1,000"):
        Batches(table, batch_size=4, memory=1_000).epoch(0).__next__()
    monkeypatch.setattr(batches_module, "free_memory", lambda: None)
    assert Batches(table).in_memory, "small tables are held whatever is free"
    monkeypatch.setattr(windows_module, "MEMORY", whole + 8 * 101)
    assert Batches(table).in_memory
    monkeypatch.setattr(windows_module, "MEMORY", whole + 8 * 101 - 1)
    for free, world, held in [(None, 1, False), (2 * needed, 1, True), (2 * needed - 1, 1, False),
                              (4 * needed, 2, True), (4 * needed - 1, 2, False)]:  # fmt: skip
        monkeypatch.setattr(batches_module, "free_memory", lambda free=free: free)
        assert Batches(table, batch_size=4, world=world).in_memory == held
    assert Batches(table, batch_size=4, memory=needed).in_memory, "what is given is not asked of the machine"


@settings(max_examples=40)
@given(size=SIZES, epoch=EPOCHS, seed=SEEDS, world=st.integers(1, 3), shuffle=st.booleans(), labelled=st.booleans())
def test_what_is_free_changes_no_batch(
    table: PreparedTable, size: int, epoch: int, seed: int, world: int, shuffle: bool, labelled: bool
) -> None:
    """Of a table above the default memory, one process holds the rows and another reads them by windows."""
    arguments: dict[str, Any] = {"batch_size": size, "seed": seed, "shuffle": shuffle, "world": world}
    whole = sum(group.bytes for group in table.groups("train"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows_module, "MEMORY", whole // 2)
        found = []
        for free in (LARGE, 0):
            patch.setattr(batches_module, "free_memory", lambda free=free: free)
            batches = Batches(table, rank=world - 1, labelled=labelled, **arguments)
            assert batches.in_memory == (free > 0)
            assert batches._size < batches.rows, "several windows"
            found.append((batches.fingerprint, list(batches.epoch(epoch)), list(batches.epoch(epoch, start=1))))
    (print_a, a, tail_a), (print_b, b, tail_b) = found
    assert print_a == print_b
    assert all(equal(x, y) for x, y in zip([*a, *tail_a], [*b, *tail_b], strict=True))


def test_a_window_is_shuffled_anew_in_every_epoch_and_unlike_other_windows(tmp_path: Path) -> None:
    """In one row group the order of groups changes nothing: all that moves the rows is the shuffle of a window."""
    table = PreparedTable.read(prepared.write(tmp_path / "made", {"train": [prepared.made(60)]}, ENCODER))
    batches = Batches(table, batch_size=10, window_rows=20)
    orders = [order.tolist() for epoch in range(3) for _, order in batches._windows(epoch, 0)]
    assert len({tuple(order) for order in orders}) == len(orders) == 9
    assert all(sorted(order) == list(range(20)) for order in orders)


def test_windows_keep_within_their_memory(tmp_path: Path) -> None:
    """Of what numpy takes; Arrow's copy of a row group is within the bound too, but is not seen here."""
    rows = prepared.made(1000)
    table = PreparedTable.read(prepared.write(tmp_path / "made", {"train": [rows] * 40}, ENCODER, group_rows=500))
    whole = sum(group.bytes for group in table.groups("train"))
    batches = Batches(table, batch_size=64, memory=whole // 4)
    assert (batches.in_memory, batches.steps) == (False, 625)
    tracemalloc.start()
    try:
        seen = sum(len(batch) for batch in batches.epoch(0))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert seen == 40_000
    assert peak < whole // 4 + 64 * 1024


def test_fingerprints_follow_all_that_decides_the_batches(table: PreparedTable) -> None:
    soft = SoftLabels(
        table.row_ids("train"), np.zeros(101), teacher="t", rows_fingerprint=table.split_fingerprint("train")
    )
    common: dict[str, Any] = {"batch_size": 8, "memory": LARGE}
    variants: list[dict[str, Any]] = [
        {}, {"batch_size": 4}, {"seed": 1}, {"shuffle": False}, {"window_rows": 16}, {"window_rows": 104},
        {"world": 2}, {"window_rows": 16, "world": 2}, {"drop_last": True}, {"labelled": True}, {"split": "valid"},
        {"soft": soft},
    ]  # fmt: skip
    found = [Batches(table, **{**common, **variant}).fingerprint for variant in variants]
    assert len(set(found)) == len(variants)
    assert Batches(table, **common).fingerprint == found[0]
    for window in (None, 16):  # ranks that train together agree
        ranks = [Batches(table, **common, window_rows=window, world=2, rank=rank).fingerprint for rank in (0, 1)]
        assert ranks[0] == ranks[1]


def test_a_split_without_rows_has_no_steps(table: PreparedTable) -> None:
    for how in ({"memory": LARGE}, {"window_rows": 5000}):
        empty = Batches(table, "test", **how)
        assert (empty.rows, empty.steps, list(empty.epoch(0))) == (0, 0, [])
        with pytest.raises(DataError, match=r"the test split of .*made has no rows"):
            _ = empty.first


BAD: list[tuple[dict[str, Any], str]] = [
    ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
    ({"rank": 2, "world": 2, "memory": 1}, r"rank must be in \[0, world\), got rank=2, world=2"),
    ({"batch_size": 8, "window_rows": 7}, "a window must hold a batch, got self.window_rows=7 for self.batch_size=8"),
    ({"split": "trian"}, "there is no split 'trian', did you mean 'train'"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_what_makes_no_sense_is_refused(table: PreparedTable, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Batches(table, **arguments)


def test_a_step_that_is_not_there_is_refused(table: PreparedTable) -> None:
    with pytest.raises(UsageError, match="an epoch has 11 steps, got start=12"):
        Batches(table, batch_size=10).epoch(0, start=12)
