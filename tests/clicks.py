"""A small table of clicks with every kind of column, as CSV, and how it is prepared."""

from __future__ import annotations

import csv
import random
from pathlib import Path

from recdistill.encoder_settings import EncoderSettings
from recdistill.preparation import PrepareSettings, SplitBy
from recdistill.schema import Schema

SCHEMA = Schema(
    label="click",
    user="user",
    item="item",
    time="at",
    categorical=("user", "item", "country"),
    multi=("tags",),
    number=("price", "age"),
    vector=("text",),
)
CHUNK = 4096  # bytes: about 60 rows


def write(path: Path, rows: int = 600, seed: int = 0) -> Path:
    """Rows whose every value is drawn; ids are skewed, and some values are missing."""
    draw = random.Random(seed)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["click", "user", "item", "country", "tags", "price", "age", "text", "at"])
        for row in range(rows):
            skewed = int(40 * draw.random() ** 2)
            writer.writerow(
                [
                    int(draw.random() < 0.3),
                    f"u{draw.randrange(30):03d}",
                    f"i{skewed:03d}",
                    draw.choice(["de", "at", "Österreich", ""]),
                    "|".join(draw.choice("abc") for _ in range(draw.randrange(4))),
                    draw.choice(["", f"{draw.gauss(3, 2):.3f}"]),
                    draw.randrange(90),
                    f"{draw.random():.2f}|{draw.random():.2f}",
                    f"2024-01-{1 + row * 28 // rows:02d} 12:{draw.randrange(60):02d}:00",
                ]
            )
    return path


def settings(**changes: object) -> PrepareSettings:
    """Small chunks, so that there are several parts."""
    plain = {"encoder": EncoderSettings(min_count=2), "split": SplitBy(by="time"), "chunk_bytes": CHUNK}
    return PrepareSettings.model_validate(plain | changes)


def content(folder: Path) -> dict[str, bytes]:
    """Every file's bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
