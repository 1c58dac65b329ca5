"""Embedding tables in fewer bytes, as an option of every model: each way one function, with its paper and its bytes.

A feature that would not get smaller keeps a row for each id. All rows are in plain tables, so that sparse updates and
fewer bits per number go on working on them.
"""

from recdistill.models.embeddings.compact.shared_tables import require_one_meaning
from recdistill.models.embeddings.compact.tables import KINDS, CompactTables, compact_tables, of_first_order

__all__ = ["KINDS", "CompactTables", "compact_tables", "of_first_order", "require_one_meaning"]
