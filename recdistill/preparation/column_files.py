"""A file of columns that can be read one by one: Arrow streams one after another, then where each begins.

It holds rows between the passes. Parquet takes much longer to write, and Arrow's own file format unpacks the
dictionaries of all columns whichever is read.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa

from recdistill.columns import single

NARROW = {pa.uint8(): 1 << 8, pa.uint16(): 1 << 16, pa.int32(): 1 << 31}
LENGTH = 8  # bytes of the index's length, at the end


def write_columns(table: pa.Table, path: Path) -> None:
    """Write a table's columns: ids as they are, for they hardly become smaller, the others lz4-compressed."""
    places: dict[str, int] = {}
    plain, packed = (pa.ipc.IpcWriteOptions(compression=how, use_threads=False) for how in (None, "lz4"))
    with pa.OSFile(str(path), "wb") as file:
        for name in table.column_names:
            places[name] = file.tell()
            column = pa.table({name: _narrow(single(table, name))})
            how = plain if pa.types.is_dictionary(column.schema.field(name).type) else packed
            with pa.ipc.new_stream(file, column.schema, options=how) as stream:
                stream.write_table(column)
        index = json.dumps(places).encode()
        file.write(index + len(index).to_bytes(LENGTH, "little"))


def _narrow(column: pa.Array) -> pa.Array:
    """The same with a dictionary's indices in as few bytes as they need."""
    if not pa.types.is_dictionary(column.type):
        return column
    kind = next(kind for kind, most in NARROW.items() if len(column.dictionary) < most)  # missing ones take one more
    return pa.DictionaryArray.from_arrays(column.indices.cast(kind), column.dictionary)


def read_column(path: Path, name: str) -> pa.Array:
    """One of the columns."""
    with pa.memory_map(str(path)) as file:
        size = file.size()
        file.seek(size - LENGTH)
        length = int.from_bytes(file.read(LENGTH), "little")
        file.seek(size - LENGTH - length)
        file.seek(json.loads(file.read(length))[name])
        stream = pa.ipc.open_stream(file, options=pa.ipc.IpcReadOptions(use_threads=False))
        chunks = stream.read_all().column(0).chunks
        return chunks[0] if chunks else pa.array([], stream.schema.field(0).type)
