"""Exercises on choosing k, with answers from the fits themselves."""

from types import MappingProxyType

from emcore.classroom.exercises import Exercise, Slip
from emcore.classroom.selection import SelectionSettings, choices, fitted, make, with_copies
from emcore.classroom.selection_rows import rows_of
from emcore.classroom.shared import shared
from emcore.selection import Selection

SIX = 6
READ = ("log-likelihood", "AIC", "BIC", "ICL")
_WHERE = MappingProxyType(
    {
        "log-likelihood": "The likelihood is highest where −2 log p(x), the grey circles, is lowest.",
        "AIC": "Find where the green diamonds touch 0 in “How far behind”.",
        "BIC": "Find where the red triangles touch 0 in “How far behind”.",
        "ICL": "Find where the blue squares touch 0 in “How far behind”.",
    }
)
CURVES = ("−2 log p(x)", "AIC", "BIC", "ICL", "log p of rows held out")
WHY_ICL = (
    "ICL counts more parameters than BIC.",
    "ICL refits the model with every row given whole to one component.",
    "ICL adds twice −log of each row's largest responsibility, which is 0 only where a row is sure.",
    "ICL is computed from fewer rows.",
)
ICL_EXERCISE = Exercise(
    "On this scale (smaller is better) ICL is never below BIC. Why?",
    WHY_ICL[2],
    "At the same θ, ICL is BIC of the data completed with their likeliest z: where clusters overlap, that costs "
    "(Biernacki, Celeux & Govaert 2000, who write both with the other sign: ICL ≤ BIC).",
    "Compare the two where clusters hardly overlap (Iris, k = 2) and where they do (Old Faithful, k = 4).",
    slips=(
        Slip(WHY_ICL[0], "Both count the same parameters: look at n_params in the table of numbers."),
        Slip(WHY_ICL[1], "Nothing is refitted: both are computed at the same θ."),
        Slip(WHY_ICL[3], "Every row is in both."),
    ),
)

IS_IT_REAL = (
    "Twice the gain in log-likelihood has no $\\chi^2$ distribution here: the smaller model is on the edge of the "
    "larger one. So simulate it: draw samples from the fit with $k$ components, and fit $k$ and $k+1$ to each "
    "(McLachlan 1987). The rows are taken once each, whatever the copies; *k* is that of “look at k”."
)
PLAN = (
    "In fifteen minutes: predict which curve cannot turn; read four answers off the charts for Iris; copy every row "
    "and watch BIC and rows held out be fooled while nothing was learned; Old Faithful with two copies: BIC leaves "
    "two densities, ICL stays with two clusters; penguins: three; then their own numbers, which a link cannot restore."
)


def after_the_guess(found: Selection) -> str:
    """What the fits have to say on the prediction, in Markdown."""
    sound = [candidate for candidate in found if candidate.sound]
    if not sound:
        return "No fit is sound here: choose another model first."
    first, last, chosen = sound[0], sound[-1], choices(found)
    return (
        f"Here −2 log p(x) goes from **{-2 * first.log_likelihood:,.1f}** at k = {first.k} to "
        f"**{-2 * last.log_likelihood:,.1f}** at k = {last.k}. Its minimum can never rise with k: whatever k "
        "components can do, one more can copy. Each of the others pays for parameters, for unclear clusters or for "
        f"rows never seen, and may turn: here AIC chooses {chosen['AIC']}, BIC {chosen['BIC']} and ICL "
        f"{chosen['ICL']}. (Should the grey curve rise all the same, EM ended in a poorer maximum.)"
    )


def reading(found: Selection | str) -> dict[str, Exercise]:
    """Read each criterion's choice off the present chart; empty where there is none to read."""
    chosen = {} if isinstance(found, str) else choices(found)
    return {name: _read(name, k, chosen) for name, k in chosen.items() if k is not None}


def _read(name: str, k: int, chosen: dict[str, int | None]) -> Exercise:
    hint = _WHERE[name]
    rivals = {other: rival for rival, other in chosen.items() if other is not None and other != k}
    slips = [Slip(float(other), f"That is the choice of {rival}. {hint}") for other, rival in rivals.items()]
    return Exercise(f"Which k does {name} choose now?", float(k), f"k = {k} here.", hint, 0.1, slips)


@shared(1)
def fixed() -> tuple[Exercise, ...]:
    """Exercises with answers of their own, whatever the controls say."""
    return (_copies(), _parameters(), _smallest_p_value())


def _copies() -> Exercise:
    answer = next(m for m in range(1, 11) if _bic_of_iris(m) == SIX)
    return Exercise(
        "Iris, full, no prior, k up to 6: from how many copies of every row on does BIC choose six components?",
        float(answer),
        f"{answer} copies, and not one flower more: −2 log p(x) grows with the copies, the penalty only with their "
        "logarithm. BIC takes rows for independent; no criterion notices that they are not.",
        "Move the slider “copies of every row” and watch where BIC touches 0.",
        tolerance=0.1,
        slips=[Slip(float(m), f"At {m} BIC has left k = 2, but not yet for six.") for m in range(2, answer)],
    )


def _bic_of_iris(copies: int) -> int | None:
    found = with_copies(rows_of("Iris"), SelectionSettings(), copies)
    assert not isinstance(found, str)
    return choices(found)["BIC"]


def _parameters() -> Exercise:
    answer = make(SelectionSettings(), 2).n_params(_two_in_four())
    return Exercise(
        "How many free parameters have two full Gaussians in four dimensions?",
        float(answer),
        "1 weight, 2 × 4 means, 2 × 10 (co)variances.",
        "Weights, means, and a symmetric 4 × 4 covariance for each component.",
        tolerance=0.1,
        slips=[
            Slip(float(answer + 1), "The weights sum to 1: one of them is not free."),
            Slip(float(answer + 1 + 12), "A covariance is symmetric: 10 numbers, not 16. And the weights sum to 1."),
            Slip(float(answer + 12), "A covariance is symmetric: 10 free numbers, not 16."),
            Slip(float(answer - 1), "Count the weight too: one of the two is free."),
        ],
    )


def _two_in_four() -> tuple:
    found = fitted(rows_of("Iris"), SelectionSettings())
    assert not isinstance(found, str)
    return found[1].fit.params


def _smallest_p_value() -> Exercise:
    return Exercise(
        "Bootstrap with 19 samples: what is the smallest p-value that it can give?",
        1 / 20,
        "(1 + 0)/(1 + 19): the data count as one of the samples (McLachlan 1987).",
        "Count how many of all 20 statistics, the observed one included, are as large as the observed one.",
        tolerance=5e-4,
        slips=[
            Slip(0.0, "The observed statistic is as large as itself: count it among the 20."),
            Slip(1 / 19, "The observed statistic counts too, above and below the line."),
        ],
    )
