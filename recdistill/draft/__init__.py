"""The first draft of an experiment on a user's own files: what their columns probably mean, for the user to check."""

from __future__ import annotations

from recdistill.draft.guesses import Draft, draft
from recdistill.draft.page import questions, run_command, summary, write_page

__all__ = ["Draft", "draft", "questions", "run_command", "summary", "write_page"]
