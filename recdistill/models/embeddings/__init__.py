"""The one door through which models get their embeddings; a model's code does not know where the tables are.

`Embeddings` are what a model asks for. Behind them are tables with one face, `Tables`: plain torch tables, which every
saved model has, or torchrec's, in one process or dealt to ranks, while a network is trained. A network can be built
with tables that are not placed yet, so that no process needs memory for all of them, or with `compact` ones, in which
ids share rows or rows are short.
"""

from recdistill.models.embeddings.compact import CompactTables, of_first_order, require_one_meaning
from recdistill.models.embeddings.fields import (
    Embeddings,
    Fields,
    Tables,
    embeddings_of,
    placed,
    require_plain,
    told,
)
from recdistill.models.embeddings.plain import PlainTables
from recdistill.models.embeddings.pooling import summed
from recdistill.models.embeddings.quantised import QuantisedTables, quantised, read_at_once
from recdistill.models.embeddings.unplaced import UnplacedTables, unplaced

__all__ = [
    "CompactTables",
    "Embeddings",
    "Fields",
    "PlainTables",
    "QuantisedTables",
    "Tables",
    "UnplacedTables",
    "embeddings_of",
    "of_first_order",
    "placed",
    "quantised",
    "read_at_once",
    "require_one_meaning",
    "require_plain",
    "summed",
    "told",
    "unplaced",
]
