"""Reports: what `report.json` holds, in words and tables."""

from recdistill.report.counts import counted
from recdistill.report.markdown import answer, summary, table, write_markdown

__all__ = ["answer", "counted", "summary", "table", "write_markdown"]
