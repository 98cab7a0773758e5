"""Exercises on tastes and blanks; the one on the most telling film knows the student's own ratings."""

from collections.abc import Sequence

from emcore.classroom.exercises import Exercise, Mark, Slip, Verdict
from emcore.classroom.films import most_telling
from emcore.classroom.mixture import Lesson

E_STEP_EXERCISE = Exercise(
    "Two profiles are equally common. Five stars for a film have probability 0.6 under the first and 0.2 under the "
    "second. You give it five stars. What is the responsibility of the first profile for you?",
    0.75,
    "½ · 0.6 / (½ · 0.6 + ½ · 0.2) = 0.75: an E-step on one row.",
    "Multiply weight and probability for each profile, and divide by the sum of both.",
    0.005,
    (
        Slip(0.6, "That is p(5 stars | z); the responsibility is p(z | 5 stars)."),
        Slip(0.3, "That is the joint, ½ · 0.6: divide it by the sum over both profiles."),
        Slip(0.25, "That is the second profile's."),
        Slip(3.0, "Those are the odds, 3 to 1: turn them into a probability."),
    ),
)
BLANK_ANSWERS = (
    "a factor of 1: it is left out of the product",
    "a rating of 0 stars",
    "the film's mean rating, filled in",
)
BLANK_EXERCISE = Exercise(
    "What does a film that you have not rated contribute to p(x | z)?",
    BLANK_ANSWERS[0],
    "Summed over all ratings it might have been, p(rating | z) is 1. That is exact as long as whether you rate does "
    "not depend on what the rating would be (Rubin 1976).",
    "Marginalise: sum p(rating | z) over the ratings it might have been.",
    slips=(
        Slip(BLANK_ANSWERS[1], "Then every film not seen would count as hated."),
        Slip(BLANK_ANSWERS[2], "That pretends to know what was not said, and pulls all profiles together."),
    ),
)
GUESSES = ("lower than the true mean", "the same, but for chance", "higher than the true mean")
PLAN = (
    "In fifteen minutes: step through the fit until the genres part; let one student rate aloud while the class calls "
    "the next bar; ask for the most telling film before showing it; then turn up “liking” and ask whose mean is right. "
    "People and films are simulated, so that every blank is known."
)
ABOUT_NEXT = (
    "On the left, the films that you have not rated: $\\sum_z q(z)\\, p(\\text{stars} \\mid z)$, with $q$ your "
    "responsibilities. The next question is best where it is expected to lower the entropy of $q$ most (Lindley 1956): "
    "where the profiles that are still likely disagree."
)
ABOUT_BLANKS = (
    "To skip a blank is exact when it hides nothing that the seen ratings have not told (Rubin 1976). When people "
    "choose what they rate it is a modelling claim, and a false one: Marlin, Zemel, Roweis and Slaney (2007) found it "
    "so for songs. Move “liking” in the sidebar and watch the circles leave the diamonds; the profiles repair a part "
    "of it, for what is seen tells a taste, and no more."
)


def mark_telling(given: str | None, lesson: Lesson, ratings: Sequence[int], mark: Mark = Exercise.mark) -> Verdict:
    """Marks the film said to tell most about the student's taste."""
    best = most_telling(lesson, ratings)
    if best is None:
        return Verdict("neutral", "Nothing is left to ask: clear a rating first.")
    exercise = Exercise(
        "",
        best.title,
        f"Rating it is expected to take {best.gain:.3f} nats from the entropy of z, more than any other.",
        "Among the profiles that are still likely, look for the film on which they disagree most, not for the one that "
        "you would like most. Films already rated have told what they can.",
    )
    return mark(exercise, given)


def whose_mean(liking: float, overall: Sequence[float]) -> str:
    """The answer on the mean of the ratings that are seen: the true mean, that of what is seen, the profiles'."""
    true, seen, model = overall
    return (
        f"With liking at **{liking:g}** the true mean is **{true:.2f}** stars and the mean of what is seen "
        f"**{seen:.2f}**. The profiles say **{model:.2f}**."
    )
