"""Which shifts are there, how large they are, and what follows: plain words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from recdistill.inspection.findings import share_of
from recdistill.shift.concept import ConceptShift
from recdistill.shift.domain import DomainShift
from recdistill.shift.prior import LabelShift
from recdistill.shift.teacher import TeacherQuality

# From which size on a shift is named, where its interval excludes none. `benchmarks/diagnosis.py` says how often they
# are right; they were chosen on other worlds than those it reports.
POPULATION = 0.55  # AUC of the domain classifier
BASE_RATE = 0.3  # difference in log odds of a click
CONCEPT = 0.004  # share of the entropy that the target's own effects explain
MISCALIBRATED, CHANCE = 0.05, 0.05  # of probability; the p value from which on chance alone may give it
NO_ORDER = 0.55  # AUC below which a teacher's order is as good as none


@dataclass(frozen=True)
class Verdict:
    """What the measurements say.

    Args:
        shifts: those that are there: "population", "base_rate", "concept".
        unknown: those that cannot be told without labels on the target.
        words: a sentence for each of the three, and for the teacher.
        advice: what to do about it, in the order to do it.
    """

    shifts: tuple[str, ...]
    unknown: tuple[str, ...]
    words: tuple[str, ...]
    advice: tuple[str, ...]


def verdict(
    domain: DomainShift,
    labels: LabelShift,
    concept: ConceptShift | None,
    teacher: TeacherQuality | None,
    *,
    new_users: str | None = None,
) -> Verdict:
    """Put what was measured into words.

    Args:
        domain: of the domain classifier.
        labels: base rates.
        concept: None where too few target rows are labelled.
        teacher: None where none was given.
        new_users: the user column, where the source has no user of the target's.
    """
    found = {
        "population": domain.auc >= POPULATION and domain.low > 0.5,
        "base_rate": concept is not None
        and abs(concept.base_rate) >= BASE_RATE
        and concept.base_rate_low * concept.base_rate_high > 0,
        "concept": concept is not None and concept.gain >= CONCEPT and concept.gain_low > 0,
    }
    shifts = tuple(name for name, there in found.items() if there)
    unknown = ("base_rate", "concept") if concept is None else ()
    words = [_population(domain, found["population"], new_users)]
    words += _unlabelled(labels, found["population"]) if concept is None else _labelled(labels, concept, shifts)
    words += _teacher(teacher)
    return Verdict(shifts, unknown, tuple(words), tuple(_advice(shifts, unknown, teacher)))


def is_useless(teacher: TeacherQuality | None) -> bool:
    """Whether a teacher's order of the target's rows is no better than chance, by rows enough to say so."""
    return teacher is not None and teacher.whole.low <= 0.5 and teacher.whole.high < NO_ORDER


def is_untold(teacher: TeacherQuality | None) -> bool:
    """Whether the rows are too few to tell a teacher's order of them from chance."""
    return teacher is not None and teacher.whole.low <= 0.5 and not is_useless(teacher)


def is_off(teacher: TeacherQuality | None) -> bool:
    """Whether a teacher's probabilities are not those of the target's rows: by more than matters, and than chance."""
    if teacher is None or teacher.whole.calibration_p >= CHANCE:
        return False
    return teacher.whole.calibration_error > MISCALIBRATED


def _population(domain: DomainShift, there: bool, new_users: str | None) -> str:
    told = f"rows tell their side with an AUC of {domain.auc:.3f} [{domain.low:.3f}, {domain.high:.3f}]"
    if not there:
        apart = f", apart from {new_users}: none of the target's is in the source" if new_users else ""
        return f"Population: {_none(domain.low > 0.5)}{apart}; {told}, and 0.5 is chance."
    size = "large" if domain.auc >= 0.8 else "moderate" if domain.auc >= 0.65 else "small"
    return f"Population: a {size} shift; {told}, where 0.5 is chance."


def _labelled(labels: LabelShift, concept: ConceptShift, shifts: tuple[str, ...]) -> Iterator[str]:
    raw = f"clicks are {share_of(labels.source_rate, 1)} in the source, {share_of(labels.target_rate or 0, 1)} here"
    odds = f"{concept.base_rate:+.2f} [{concept.base_rate_low:+.2f}, {concept.base_rate_high:+.2f}]"
    alike = f"between rows that are alike the log odds of a click differ by {odds}"
    apart = concept.base_rate_low * concept.base_rate_high > 0
    head = "a shift" if "base_rate" in shifts else _none(apart)
    yield f"Base rate: {head}; {raw}, and {alike}."
    gain = f"{100 * concept.gain:+.1f} % [{100 * concept.gain_low:+.1f}, {100 * concept.gain_high:+.1f}]"
    explained = f"effects of the target's own explain {gain} of what there is to know of its clicks"
    if "concept" in shifts:
        yield f"Concept: a shift; {explained}: the same user and item do not click as in the source."
    else:
        yield f"Concept: {_none(concept.gain_low > 0)}; {explained}."


def _none(apart: bool) -> str:
    """What is said of a shift that is not named, by whether its interval excludes none."""
    return "a shift too small to matter" if apart else "no shift seen"


def _unlabelled(labels: LabelShift, moved: bool) -> Iterator[str]:
    told = "too few target rows are labelled to compare clicks"
    if labels.implied_rate is None:
        yield f"Base rate: cannot be told; {told}, and the shared columns say too little of a click."
    else:
        only = f"if only the share of clicks differed, it would be {share_of(labels.implied_rate, 1)} here"
        but = ", but the population differs too" if moved else ""
        source = f"{share_of(labels.source_rate, 1)} in the source"
        yield f"Base rate: cannot be told; {told}; {only} and {source} (BBSE){but}."
    yield f"Concept: cannot be told; {told}."


def _teacher(teacher: TeacherQuality | None) -> Iterator[str]:
    if teacher is None:
        return
    whole = teacher.whole
    order = f"its AUC on the target is {whole.auc:.3f} [{whole.low:.3f}, {whole.high:.3f}]"
    says = f"it predicts {share_of(whole.predicted, 1)} clicks where {share_of(whole.rate, 1)} are there"
    if is_useless(teacher):
        yield f"Teacher: of no use here; {order}, and {says}."
        return
    if is_untold(teacher):
        yield f"Teacher: whether it is of use here cannot be told from {whole.rows:,} rows; {order}, and {says}."
        return
    loss = "more" if whole.normalised_entropy < 1 else "less"
    knows = f"its log loss is {whole.normalised_entropy:.3f} of the base rate's: it says {loss} than the base rate"
    error = f"a calibration error of {whole.calibration_error:.3f}"
    chance = "" if whole.calibration_p < CHANCE else ", which chance alone may give"
    yield f"Teacher: {order}; {knows}; {says}, with {error}{chance}."
    if teacher.worst:
        worst = "; ".join(f"{one.name} (AUC {one.auc:.3f}, {one.rows:,} rows)" for one in teacher.worst[:3])
        yield f"Teacher: worst on {worst}."


def _advice(shifts: tuple[str, ...], unknown: tuple[str, ...], teacher: TeacherQuality | None) -> Iterator[str]:
    if is_useless(teacher):
        yield "Train the student on the target's own labels alone: this teacher would only mislead it."
        return
    if unknown:
        yield "Label some target rows, a few hundred at least: without, neither base rate nor concept can be judged."
    elif is_untold(teacher):
        yield "Label more target rows: by those there are the teacher cannot be told from chance."
    if "concept" in shifts:
        yield (
            "Adapt the teacher on the target's labels before it teaches, and let labels weigh more than the teacher: "
            "a small alpha, chosen on validation rows with 0 among the candidates."
        )
    elif "population" in shifts:
        yield (
            "Adapt the teacher to the target, and have it label the target's unlabelled rows too: what it knows still "
            "holds, and `density_ratio` weights say where it is at home."
        )
    if "base_rate" in shifts or is_off(teacher):
        yield (
            "Calibrate the teacher on labelled target rows before it teaches (`calibrate`): its probabilities are off "
            "here, its order is not touched by that."
        )
    if not (shifts or unknown or is_off(teacher) or is_untold(teacher)):
        yield "Plain distillation suffices, and so may the student trained on the source as it is: compare with it."
