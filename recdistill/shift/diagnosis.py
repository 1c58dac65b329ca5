"""The diagnosis of a pair of tables: everything that is measured, put together."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from recdistill.errors import DataError, UsageError
from recdistill.ranker import Ranker
from recdistill.shift import page
from recdistill.shift.columns import ColumnShift, column_shifts
from recdistill.shift.concept import ConceptShift, concept_shift
from recdistill.shift.domain import DomainClassifier, DomainShift, comparable, domain_shift
from recdistill.shift.prior import LabelShift, label_shift
from recdistill.shift.rows import FOLDS, drawn, first_liked, folds, require_enough
from recdistill.shift.sides import Side
from recdistill.shift.teacher import TeacherQuality, click_logits, teacher_quality
from recdistill.shift.verdict import Verdict, verdict
from recdistill.soft_labels import SoftLabels
from recdistill.tables import Table

Array = np.ndarray[Any, Any]
FEWEST_LABELLED, FEWEST_OF_CLASS = 200, 10


@dataclass(frozen=True)
class Diagnosis:
    """How a target differs from a source; `print` shows it.

    Args:
        verdict: which shifts there are, and what to do.
        source_rows, target_rows: of each side.
        labelled_rows: of the target's, those with a label.
        liked_from: of ratings, the grade from which on they count as a click; None of clicks.
        columns: each shared column's distance, the furthest first.
        domain: how well rows tell their side.
        labels: base rates.
        concept: what target labels say of P(click | row); None where too few rows are labelled.
        teacher: the teacher on the target; None where none was given.
    """

    verdict: Verdict
    source_rows: int
    target_rows: int
    labelled_rows: int
    liked_from: float | None
    columns: tuple[ColumnShift, ...]
    domain: DomainShift
    labels: LabelShift
    concept: ConceptShift | None
    teacher: TeacherQuality | None

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {"format": 1, **asdict(self)}

    @property
    def opening(self) -> list[str]:
        """The verdict in lines: which shifts there are, a line for each, and what to do."""
        return page.opening(self.verdict)

    @property
    def tables(self) -> dict[str, list[list[str]]]:
        """By title the lines of each table, the header first."""
        rows = f"{self.source_rows:,} source and {self.target_rows:,} target rows, {self.labelled_rows:,} labelled"
        found = {f"columns of both sides, the furthest apart first ({rows})": page.column_lines(self.columns)}
        if self.teacher is not None:
            found["the teacher on labelled target rows"] = page.segment_lines(self.teacher)
        return found

    @property
    def notes(self) -> list[str]:
        """What should be known of the figures."""
        lines = ["PSI and Jensen-Shannon compare shares of values; 'by chance' is the PSI of rows of one distribution."]
        if self.domain.left_out:
            named = ", ".join(self.domain.left_out)
            lines.append(f"Left out of the comparison of rows: {named}, by which each side would be known.")
        if self.liked_from is not None:
            lines.append(f"A rating counts as a click from {self.liked_from:g} on.")
        return lines

    def __str__(self) -> str:
        shown = [page.plain(title, lines) for title, lines in self.tables.items()]
        return "\n\n".join(["\n".join(self.opening), *shown, "\n".join(self.notes)])


def diagnose(
    source: Table, target: Table, *, teacher: Ranker | None = None, soft: SoftLabels | None = None
) -> Diagnosis:
    """How does the target differ from the source, and what should be done about it?

    Three shifts are told apart: of the population (who meets what), of the base rate (clicks between rows that are
    alike), and of the concept (what acts on the click). Models learn from at most `rows.MOST_ROWS` rows of a side,
    drawn by their ids, so that it takes seconds and does not depend on the order of rows. A rating counts as a click
    from the lowest grade above the source's median on.

    Args:
        source: labelled rows.
        target: rows; those with a label tell of base rate, concept and teacher.
        teacher: trained on the source, to be judged on the labelled target rows.
        soft: the target rows' soft labels, in its place.

    Raises:
        UsageError: a teacher and soft labels are given.
        DataError: a side has too few rows or users, the source too few labels of a class, nothing of the sides can be
            compared, the soft labels are of other rows or of labels that the teacher learnt, or the target has too few
            labels to judge a teacher by.
    """
    require_enough(source, "source")
    require_enough(target, "target")
    first = first_liked(source, target)
    there, here = (_Labelled.of(table, first) for table in (source, target))
    learnt, judged = there.drawn, here.drawn
    if not learnt.suffice:
        rule = (
            f"a source needs {FEWEST_LABELLED} labelled rows, in any two thirds of its users {FEWEST_OF_CLASS} a class"
        )
        raise DataError(f"{rule}, got {int(there.clicks.sum()):,} clicks in {len(there.clicks):,} labelled rows")
    scores = _scores(teacher, soft, target)
    shared = comparable(source, target)
    classifier = DomainClassifier(source, target, shared)
    domain = domain_shift(classifier, shared)
    known = Side.of(learnt.rows, classifier.inputs)
    rate = float(here.clicks.mean()) if len(here.clicks) else None
    labels = label_shift(known, learnt.clicks, classifier.target, rate)
    concept = None
    if judged.suffice:
        concept = concept_shift(known, learnt.clicks, Side.of(judged.rows, classifier.inputs), judged.clicks)
    quality = None if scores is None else teacher_quality(click_logits(scores, first), here.clicks, here.rows, source)
    columns, user = column_shifts(source, target), source.schema.user
    new_users = user if any(one.column == user and one.unseen == 1 for one in columns) else None
    return Diagnosis(
        verdict=verdict(domain, labels, concept, quality, new_users=new_users),
        source_rows=len(source),
        target_rows=len(target),
        labelled_rows=len(here.rows),
        liked_from=source.schema.class_grades[first] if source.schema.classes > 1 else None,
        columns=columns,
        domain=domain,
        labels=labels,
        concept=concept,
        teacher=quality,
    )


def _scores(teacher: Ranker | None, soft: SoftLabels | None, target: Table) -> Array | None:
    """The teacher's logits for the labelled rows, where there is one."""
    if teacher is not None and soft is not None:
        raise UsageError("a diagnosis judges one teacher, got a ranker and soft labels")
    if teacher is not None:
        return teacher.score(target.take(target.labelled))
    if soft is None:
        return None
    if soft.sample == "in_sample":
        raise DataError("a teacher is judged on labels that it did not learn, got soft labels of rows that it learnt")
    return soft.for_table(target)[target.labelled]


@dataclass(frozen=True)
class _Labelled:
    """The labelled rows of a side, and whether each is a click."""

    rows: Table
    clicks: Array

    @staticmethod
    def of(table: Table, first: int) -> _Labelled:
        rows = table.take(table.labelled)
        return _Labelled(rows, (rows.labels >= first).astype(np.float64))

    @property
    def drawn(self) -> _Labelled:
        """Those that models learn from."""
        rows = drawn(self.rows)
        place = np.argsort(self.rows.row_ids)
        return _Labelled(rows, self.clicks[place[np.searchsorted(self.rows.row_ids[place], rows.row_ids)]])

    @property
    def suffice(self) -> bool:
        """Whether there are enough to learn from."""
        fold = folds(self.rows)
        rest = [self.clicks[fold != number] for number in range(FOLDS)]  # what each model learns from
        fewest = min(min(clicks.sum(), (1 - clicks).sum()) for clicks in rest)
        return len(self.clicks) >= FEWEST_LABELLED and bool(fewest >= FEWEST_OF_CLASS)
