"""What the digits app asks for: a Bernoulli mixture on 8 by 8 images, and how it compares with labels it never saw.

Pure functions of their arguments; runs are remembered by settings. Bad settings come back as words.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from emcore.classroom import links
from emcore.classroom import script as code
from emcore.classroom.mixture import Lesson
from emcore.classroom.recorded import one_run
from emcore.classroom.script import call
from emcore.classroom.shared import shared
from emcore.datasets import load
from emcore.em import fit
from emcore.families.binomial import Bernoulli
from emcore.models.mixture import Mixture
from emcore.posteriors import CategoricalPosterior
from emcore.trace import HalfStep

DIGITS = tuple(range(10))
N_STARTS = 12
TOLERANCE = 1e-8  # nats per row: enough for the eye
CONTROLS = MappingProxyType(
    {
        "k": links.Number(10, 2, 20),
        "prior": links.Choice([0, 0.1, 0.5, 1, 2, 5, 10], 1),
        "start": links.Choice(["random-responsibilities", "random-rows", "k-means++"]),
        "seed": links.Number(0, 0, 9999),
        "threshold": links.Number(8, 1, 16),
        "reveal": links.Flag(),
    }
)
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "Ten causes": {},
        "Twenty styles": {"k": 20},
        "Three causes": {"k": 3},
        "No prior": {"prior": 0},
        "Too strong a prior": {"prior": 10},
        "The digits that were written": {"reveal": 1},
    }
)

PLAN = (
    "In fifteen minutes: predict; press Play and watch ten blurs part into styles; name the prototypes together, and "
    "look for the blurred one; reveal; ask which start of the twelve you would publish. Then set the prior to 0 and "
    "read the cost of one blot. Data: Alpaydin & Kaynak (1998), optical recognition of handwritten digits, CC BY 4.0."
)


@dataclass(frozen=True)
class DigitsSettings:
    """The controls of the digits app; `prior` is pseudo-inked and pseudo-blank images for every pixel."""

    n_components: int = 10
    prior: float = 1.0
    init: str = "random-responsibilities"
    seed: int = 0
    threshold: int = 8
    max_iter: int = 30


class Agreement(NamedTuple):
    """Components against the digits at every half-step of a run."""

    counts: np.ndarray  # (h, k, 10) images of each digit that a component claims
    matched: np.ndarray  # (h, k) the digit paired with each component, -1 for none
    accuracy: np.ndarray  # (h,) share of the images in paired cells
    purity: np.ndarray  # (h,) share that agrees when each component is named by its commonest digit


class Start(NamedTuple):
    """Where one start ended."""

    log_likelihood: float
    accuracy: float


@shared(32)
def images(threshold: int = 8) -> np.ndarray:
    """Pixels (1797, 64), row by row: 1 where the ink, 0 to 16, is at least `threshold`."""
    pixels = (grey() >= threshold).astype(float)
    pixels.flags.writeable = False
    return pixels


@shared(1)
def labels() -> np.ndarray:
    """The digits that were written (1797,)."""
    return load("digits")["digit"].to_numpy()


@shared(1)
def written() -> tuple[int, ...]:
    """`labels` as what cannot change: the same for every picture that tells them."""
    return tuple(labels().tolist())


@shared(1)
def grey() -> np.ndarray:
    """The ink (1797, 64), from 0 to 16."""
    return load("digits").drop("digit").to_numpy().astype(float)


def _model(settings: DigitsSettings) -> Mixture:
    return Mixture(Bernoulli((settings.prior, settings.prior)), settings.n_components)


def _lean(halves: tuple[HalfStep, ...]) -> tuple[HalfStep, ...]:
    """The half-steps without the logs of q, half of what they hold: what needs them has been recorded."""
    lean: dict[int, CategoricalPosterior] = {}  # an M-step holds the q of its E-step
    return tuple(half._replace(q=lean.setdefault(id(half.q), CategoricalPosterior(half.q.probs))) for half in halves)


@shared(24)
def digits_lesson(settings: DigitsSettings) -> Lesson:
    """The settings' run from one start, half-steps recorded; bad settings come back as a sentence in `trouble`."""
    try:
        found = one_run(_model(settings), images(settings.threshold), settings, TOLERANCE)
        return Lesson(replace(found, recorded=_lean(found.recorded)))
    except ValueError as error:
        return Lesson(None, str(error))


def script(settings: DigitsSettings) -> str:
    """The code of the settings' run, and of how its causes and the digits go together."""
    prior = (settings.prior, settings.prior)
    model = call("em.Mixture", f"em.Bernoulli(prior={prior!r})", n_components=settings.n_components)
    return code.script(
        [
            'table = em.datasets.load("digits")',
            'digit = table["digit"].to_numpy()  # what was written: the fit never sees it',
            f'x = table.drop("digit").to_numpy() >= {settings.threshold}  # ink or none',
            f"model = {model}",
            *code.one_run(settings, TOLERANCE),
        ],
        code.half_steps(),
        [
            "last = fit.trace[-1]",
            'print(f"log p(x) {last.log_likelihood:,.2f}, log prior {last.log_prior:,.2f}")',
            "cause = last.q.probs.argmax(axis=1)",
            "for k in range(model.n_components):",
            '    print(f"cause {k} claims", [int(((cause == k) & (digit == d)).sum()) for d in range(10)])',
        ],
    )


@shared(24)
def agreement(settings: DigitsSettings) -> Agreement | None:
    """The run's components against the digits, each image given to its likeliest component; None for bad settings."""
    lesson = digits_lesson(settings)
    if lesson.fit is None:
        return None
    counts = np.repeat([contingency(half.q.probs) for half in lesson.trace if half.kind == "E"], 2, axis=0)
    counts = counts[: len(lesson.trace)]  # an M-step holds q
    matched = np.stack([pairing(table) for table in counts])
    total = counts[0].sum()
    paired = np.take_along_axis(counts, np.maximum(matched, 0)[:, :, None], axis=2)[:, :, 0] * (matched >= 0)
    return Agreement(counts, matched, paired.sum(axis=1) / total, counts.max(axis=2).sum(axis=1) / total)


def reveal(agreed: Agreement) -> str:
    """The answer to the prediction, in the numbers of the run."""
    owned = len(set(agreed.counts[-1].argmax(axis=1)))
    accuracy, purity = f"{agreed.accuracy[-1]:.1%}", f"{agreed.purity[-1]:.1%}"
    same = "which is the same" if accuracy == purity else f"which is right on **{purity}**"
    return (
        f"In this run {owned} of the ten digits are the commonest of some cause. Paired one to one, causes and digits "
        f"agree on **{accuracy}** of the images (framed cells); or name each cause by its commonest digit, {same}. "
        "Causes are styles that repeat, not classes: what a cluster means is decided afterwards, by us (Hennig 2015). "
        "Nor need the likeliest of several starts tell digits apart best: the likelihood rewards a good description of "
        "the pixels, and two styles of one digit may be worth more to it than telling 3 from 9."
    )


def contingency(probs: np.ndarray) -> np.ndarray:
    """Images of each digit (k, 10) by likeliest component, from responsibilities (n, k)."""
    n_components, n_digits = probs.shape[1], len(DIGITS)
    cells = probs.argmax(axis=1) * n_digits + labels()
    return np.bincount(cells, minlength=n_components * n_digits).reshape(n_components, n_digits)


def pairing(counts: np.ndarray) -> np.ndarray:
    """The digit for each component (k,), each digit once at most, that agrees with most images; -1 for none.

    Kuhn (1955), Naval Research Logistics 2, 83-97.
    """
    from scipy.optimize import linear_sum_assignment

    components, digits = linear_sum_assignment(-counts)
    matched = np.full(len(counts), -1)
    matched[components] = digits
    return matched


@shared(16)
def many_starts(settings: DigitsSettings) -> tuple[Start, ...]:
    """Twelve starts of the same model: the log-likelihood and the matched accuracy of each; () for bad settings."""
    x = images(settings.threshold)
    try:
        found = fit(
            _model(settings), x, init=settings.init, restarts=N_STARTS, seed=settings.seed, tol=TOLERANCE, max_iter=40
        )
    except ValueError:
        return ()
    ends = []
    for run in found.restarts:
        counts = contingency(found.model.posterior(run.params, x).probs)
        agreed = sum(counts[c, digit] for c, digit in enumerate(pairing(counts)) if digit >= 0)
        ends.append(Start(run.log_likelihood, float(agreed / counts.sum())))
    return tuple(ends)


def blot(lesson: Lesson, settings: DigitsSettings) -> float:
    """How much log p of the first image falls, in nats, when ink is put into its top left pixel, which none has."""
    clean = images(settings.threshold)[:1]
    stained = clean.copy()
    stained[0, 0] = 1.0
    assert lesson.fit is not None
    log_p = lesson.fit.model.log_likelihood(lesson.fit.params, np.concatenate([clean, stained]))
    return float(log_p[1] - log_p[0])


def blot_words(settings: DigitsSettings) -> str:
    """What `blot` is, in words."""
    return (
        "what one blot in the corner, where no image has ink, adds to log p, nats"
        if settings.prior
        else "what one blot in the corner adds to log p: log 0 = −∞ in truth; the code stops at 1e-12"
    )


def images_csv(settings: DigitsSettings) -> str:
    """The images as the run saw them, the digits written, and the cause that the run gives each, as CSV."""
    import polars as pl

    probs = digits_lesson(settings).trace[-1].q.probs
    pixels = images(settings.threshold).astype(int)
    columns = {f"pixel_{j}": pixels[:, j] for j in range(pixels.shape[1])}
    found = {"digit": labels(), "cause": probs.argmax(axis=1), "responsibility": probs.max(axis=1)}
    return pl.DataFrame(found | columns).write_csv()


def downloads(settings: DigitsSettings) -> tuple[tuple[Callable[[], str], str, str], ...]:
    """What a teacher may take home of a run: CSV to be written, the file's name, and what it is."""
    return (
        (lambda: digits_lesson(settings).trace.to_frame().write_csv(), "half_steps.csv", "half-steps"),
        (lambda: images_csv(settings), "images.csv", "images and causes"),
    )


def as_link(settings: DigitsSettings, told: bool = False) -> dict[str, Any]:
    """What a link must hold to restore the settings, and whether the labels are told."""
    return {
        "k": settings.n_components,
        "prior": settings.prior,
        "start": settings.init,
        "seed": settings.seed,
        "threshold": settings.threshold,
        "reveal": int(told),
    }
