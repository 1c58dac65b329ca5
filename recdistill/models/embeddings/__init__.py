"""The one door through which models get their embeddings; a model's code does not know where the tables are.

`Embeddings` are what a model asks for. Behind them are tables with one face, `Tables`: plain torch tables, which every
saved model has.
"""

from recdistill.models.embeddings.fields import Embeddings, Tables, embeddings_of
from recdistill.models.embeddings.plain import PlainTables

__all__ = ["Embeddings", "PlainTables", "Tables", "embeddings_of"]
