"""Raw files of any size to a prepared table: encoded Parquet parts, an encoder, and a report on the rows."""

from __future__ import annotations

from recdistill.preparation.engine import Engine, Threads
from recdistill.preparation.preparing import prepare
from recdistill.preparation.settings import PrepareSettings
from recdistill.preparation.splitting import SplitBy

__all__ = ["Engine", "PrepareSettings", "SplitBy", "Threads", "prepare"]
