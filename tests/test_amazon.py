"""Amazon pairs: real counts, items that never match across categories, and fair negatives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.datasets import amazon
from recdistill.errors import DataError, UsageError


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    for folder, items in (("sport_cloth", 12), ("cloth_sport", 11)):
        (tmp_path / folder).mkdir()
        rows = [(user, (5 * user + n) % items) for user in range(items) for n in range(2)]
        for name, part in (("train.txt", rows[:-4]), ("test.txt", rows[-4:])):
            (tmp_path / folder / name).write_text("".join(f"{user}\t{item}\t1\n" for user, item in part))
    return tmp_path


@pytest.mark.parametrize("popular", [False, True])
def test_each_purchase_is_followed_by_untouched_items(pair: Path, popular: bool) -> None:
    source, target = amazon.load(pair, negatives=3, popular=popular)
    for table, category, items in ((source, "sport", 12), (target, "cloth", 11)):
        users, clicks = table.numpy("user_id"), table.labels
        assert clicks.tolist() == [1, 0, 0, 0] * (2 * items)
        pairs = list(zip(users, table.numpy("item_id"), strict=True))
        assert len(set(pairs)) == len(pairs), "a user sees an item once, bought or not"
        user, item = amazon.purchases(pair, category, "cloth" if category == "sport" else "sport")
        bought = [(u, f"{category}:{i}") for u, i in zip(user, item, strict=True)]
        assert [p for p, click in zip(pairs, clicks, strict=True) if click] == bought
    assert not set(source.numpy("item_id")) & set(target.numpy("item_id"))
    assert set(source.numpy("user_id")) & set(target.numpy("user_id"))
    assert target.row_ids.min() > source.row_ids.max()


def test_the_drawing_is_seeded(pair: Path) -> None:
    assert amazon.load(pair)[1].fingerprint == amazon.load(pair)[1].fingerprint
    assert amazon.load(pair)[1].fingerprint != amazon.load(pair, seed=1)[1].fingerprint
    turned, _ = amazon.load(pair, source="cloth", target="sport")
    assert turned.numpy("item_id").tolist() == amazon.load(pair)[1].numpy("item_id").tolist()


@given(st.integers(0, 3), st.booleans())
def test_negatives_follow_the_chosen_chances(seed: int, popular: bool) -> None:
    """Many users with one purchase each: item 0 is bought by 600, items 1 to 4 by 100 each; a negative of a buyer of
    item 1 is item 0 with chance 600 / 900 by popularity, 1 / 4 otherwise.
    """
    user, item = np.arange(1000), np.repeat(np.arange(5), [600, 100, 100, 100, 100])
    drawn = amazon._untouched(user, item, 1, popular=popular, rng=np.random.default_rng(seed))[:, 0]
    assert (drawn != item).all()
    share = Counter(drawn[item > 0].tolist())[0] / 400
    chance = 600 / 900 if popular else 1 / 4
    assert abs(share - chance) < 5 * np.sqrt(chance * (1 - chance) / 400)


def test_bad_arguments_and_files_are_named(pair: Path) -> None:
    with pytest.raises(UsageError, match="at least one negative for each, got negatives=0"):
        amazon.load(pair, negatives=0)
    with pytest.raises(UsageError, match="two categories, got 'sport' twice"):
        amazon.load(pair, target="sport")
    with pytest.raises(DataError, match="the folders sport_books and books_sport, got cloth_sport, sport_cloth"):
        amazon.load(pair, target="books")
    with pytest.raises(DataError, match="clicks and negatives must be different items, got 18 of 12 for some"):
        amazon.load(pair, negatives=8)
    file = pair / "sport_cloth" / "test.txt"
    good = file.read_text()
    for line, rule in (
        ("0\t1", r"test.txt must have the columns user, item, bought: .*Row #5: Expected 3 columns, got 2"),
        ("0\tx\t1", "Row #5: .*invalid value 'x'"),
        ("0\t5\t0", "a user and an item from 0 on and a 1"),
        ("0\t-5\t1", "a user and an item from 0 on and a 1"),
        ("0\t0\t1", "a user buys an item once, got 1 purchases repeated"),
    ):
        file.write_text(good + line + "\n")
        with pytest.raises(DataError, match=rule):
            amazon.load(pair)
    file.unlink()
    with pytest.raises(DataError, match=r"test\.txt"):
        amazon.load(pair)


def test_real_counts(shared_data: Callable[[str], Path]) -> None:
    root = shared_data("amazon-sport-cloth")
    for category, other, train, test, items in (
        ("sport", "cloth", 92_612, 8_326, 30_796),
        ("cloth", "sport", 87_829, 7_540, 39_008),
    ):
        user, item = amazon.purchases(root, category, other)
        assert len(user) == train + test
        assert (len(np.unique(user)), len(np.unique(item))) == (9_928, items)
