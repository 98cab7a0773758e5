"""The lesson from EM to the variational autoencoder: a decoder, and three E-steps that listen to it ever less.

One latent z draws a line or a curve through points in a plane, or two draw a sheet through images of digits. Because z
is one number or two, log p(x) is an integral that is computed; so the gap of an encoder is known, and can be split into
what its family costs and what sharing it costs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from emcore.classroom import links
from emcore.classroom.curves import BOW, DIGITS, GEYSER, SPIRAL, n_latents, rows, written
from emcore.classroom.exercises import Verdict
from emcore.classroom.recorded import Recorded
from emcore.classroom.shared import shared
from emcore.esteps import EStep, exact
from emcore.models.vae import VAE
from emcore.models.vae_decoder import decode, log_joint_table
from emcore.models.vae_encoder import amortised, gap_split, per_row
from emcore.models.vae_posteriors import DiagonalGaussian, as_diagonal, density_on
from emcore.numerics import DegenerateError
from emcore.tables import kept_halves
from emcore.trace import Trace, half_steps, pose, start_params

LINE, CURVE = "a line", "a curve, by tanh units"
EXACT, OWN, ENCODER = "EM: the posterior itself", "a Gaussian for each row", "VAE: one encoder for all rows"
ROWS = ("the row with the widest gap", "a row with a typical gap")
NAMES = ("x₀", "x₁")
ONE_ROW, REMADE, TRADE = "One row: Q beside its posterior", "Images made from codes", "Rate and distortion"
COLLAPSE, LOOSE = "Collapse as noise grows", "Which rows make the bound loose?"
CONTROLS: Mapping[str, links.Control] = MappingProxyType(
    {
        "data": links.Choice((BOW, SPIRAL, GEYSER, DIGITS)),
        "decoder": links.Choice((CURVE, LINE)),
        "e": links.Choice((ENCODER, OWN, EXACT)),
        "width": links.Choice((0, 2, 4, 8, 16), 4),
        "steps": links.Choice((1, 3, 10, 30), 10),
        "beta": links.Choice((0.5, 1, 2, 4, 8), 1),
        "noise": links.Choice((0.03, 0.06, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2), 0.06),
        "seed": links.Number(1, 0, 9999),
    }
)
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "1 PPCA by EM": {"decoder": LINE, "e": EXACT},
        "2 Linear VAE": {"decoder": LINE, "e": ENCODER, "width": 0},
        "3 A curve by EM": {"e": EXACT},
        "4 A Gaussian for each row": {"e": OWN},
        "5 VAE": {},
        "Too simple an encoder": {"width": 0},
        "Too hasty an encoder": {"steps": 1},
        "β = 8": {"beta": 8},
        "Collapse": {"noise": 1.6},
        "A spiral is hard to encode": {"data": SPIRAL},
        "Two latents for written digits": {"data": DIGITS},
    }
)


class Plan(NamedTuple):
    """How much work a setting is: two latents cost a hundred times what one costs."""

    hidden: int  # tanh units of the curve
    prior: float
    m_steps: int
    iterations: int
    splits: int  # E-steps whose gap is split
    climb: int  # steps of the split's climb
    own: int  # steps of each row's ascent in an E-step
    max_nodes: int


_ONE, _TWO = Plan(8, 0.1, 10, 24, 16, 50, 20, 20_000), Plan(6, 3.0, 8, 6, 8, 12, 6, 200_000)
_LINE_ITERATIONS = 200  # a line is cheap, and slow beside little noise


@dataclass(frozen=True)
class VaeSettings:
    """The controls; hashable, so runs can be remembered by them."""

    data: str = BOW
    decoder: str = CURVE
    e: str = ENCODER
    width: int = 4  # tanh units of the encoder
    steps: int = 10  # of the encoder's ascent in each E-step
    beta: float = 1.0
    noise: float = 0.06  # variance about the curve, held
    seed: int = 1


class Parts(NamedTuple):
    """The gap in two parts after some E-steps, totals in nats."""

    halves: np.ndarray  # (s,) their places in the trace
    family: np.ndarray  # (s,)
    amortisation: np.ndarray  # (s,)


class RowDensities(NamedTuple):
    """Posterior and Q of one row as densities over z."""

    row: int
    z: np.ndarray  # (m,)
    posterior: np.ndarray  # (h, m)
    q: np.ndarray  # (h, m)
    own: np.ndarray  # (m,) of the best Gaussian of its own, at the last half-step


@dataclass(frozen=True)
class VaeLesson(Recorded):
    """A recorded run, or the reason why there is none."""

    settings: VaeSettings
    run: Trace | None = None
    parts: Parts | None = None
    best: DiagonalGaussian | None = None  # the best Gaussian of each row at the end
    rates: np.ndarray | None = None  # (h,) KL(Q ‖ prior), nats per row
    distortions: np.ndarray | None = None  # (h,) -E log p(x | z), nats per row
    trouble: str = ""

    @property
    def family(self) -> float:
        """What the Gaussian family costs at the end, in nats."""
        return 0.0 if self.parts is None else float(self.parts.family[-1])

    @property
    def amortisation(self) -> float:
        """What sharing the encoder costs at the end, in nats."""
        return 0.0 if self.parts is None else float(self.parts.amortisation[-1])

    @property
    def collapsed(self) -> bool:
        """Whether Q has stopped to listen: its rate is below a hundredth of a nat per row."""
        return self.rates is not None and bool(self.rates[-1] < 0.01)

    @property
    def kind(self) -> str:
        """How loudly the message should be said."""
        if self.run is None:
            return "danger"
        return "warn" if self.collapsed else "info"

    @property
    def message(self) -> str:
        """Where the run has come to, in numbers."""
        if self.run is None or self.rates is None:
            return self.trouble
        last = self.run[-1]
        gap = f"log p(x) = {last.log_likelihood:,.2f}, ELBO = {last.elbo:,.2f}: a gap of {nats(last.kl)} nats"
        parts = (
            ""
            if self.settings.e == EXACT
            else f", {nats(self.family)} for the family and {nats(self.amortisation)} for sharing one encoder"
        )
        heard = (
            "Posterior collapse: Q says the same of every row, the prior"
            if self.collapsed
            else f"Q tells {self.rates[-1]:.3g} nats of each row"
        )
        return f"After {len(self.run) // 2} iterations and an E-step, {gap}{parts}. {heard}."

    def encoder_is_good(self) -> Verdict:
        """The mark for the task to make sharing cost less than the family does."""
        if self.run is None or self.settings.e != ENCODER:
            return Verdict("neutral", "Choose the encoder as the E-step.")
        costs = f"sharing costs {nats(self.amortisation)}, the family {nats(self.family)}"
        if self.amortisation < self.family:
            return Verdict("success", f"Done: {costs} nats.")
        return Verdict("neutral", f"Not yet: {costs} nats. What makes an encoder poor?")

    @property
    def two_latents(self) -> bool:
        """Whether the codes make a map, and not a curve."""
        return n_latents(self.settings.data) == 2

    @property
    def labels(self) -> np.ndarray:
        """Which digit each row is: known to the reader of the map, never to the fit."""
        return written().labels

    def remade(self) -> tuple[np.ndarray, list[np.ndarray]]:
        """Ink of the first image of every digit (k, 64), and at every half-step what f makes of their codes (k, 64)."""
        digits = written()
        first = np.unique(digits.labels, return_index=True)[1]
        codes = [as_diagonal(half.q.rows(first)).means for half in self.trace]
        return digits.images[first], [digits.ink(decode(half.params, z)) for half, z in zip(self.trace, codes)]

    def row(self, which: str) -> int:
        """The row with the widest gap at the end, or one with the median gap."""
        order = np.argsort(self.trace[-1].kl_rows, kind="stable")
        return int(order[-1] if which == ROWS[0] else order[len(order) // 2])

    def densities(self, which: str) -> RowDensities:
        """Posterior and Q over z of one of `ROWS`, at every half-step; computed once for everybody who looks."""
        return self.trace.once(("densities", which), lambda: self._densities(self.row(which)))

    def _densities(self, row: int) -> RowDensities:
        wide = np.linspace(-6.0, 6.0, 1441)
        shown = slice(240, 1201, 8)  # from -4 to 4
        z, x = wide[shown], self.trace.x[row : row + 1]
        logs = [log_joint_table(half.params, x, wide[:, None])[0] for half in self.trace]
        parts = [np.exp(log - log.max()) for log in logs]
        posterior = [part[shown] / (part.sum() * (wide[1] - wide[0])) for part in parts]
        q = [density_on(half.q, row, z[:, None]) for half in self.trace]
        own = np.zeros(len(z)) if self.best is None else density_on(self.best, row, z[:, None])
        return RowDensities(row, z, np.array(posterior), np.array(q), own)


@shared(64)
def vae_lesson(settings: VaeSettings) -> VaeLesson:
    """Run the settings' E-step with the decoder's M-step; what cannot run comes back as a sentence in `trouble`."""
    plain = _only_what_matters(settings)
    if plain != settings:
        lesson = vae_lesson(plain)
        return replace(lesson, settings=settings)
    try:
        x = rows(settings.data)
        problem = pose(_model(settings), x)
        start = start_params(problem, "random-rows", np.random.default_rng(settings.seed))
        steps = half_steps(problem, start, _e_step(settings))
        trace = Trace(*problem, tuple(islice(steps, 2 * n_iterations(settings) + 1)))
        return VaeLesson(settings, trace, *_split(settings, trace), *_rate_and_distortion(trace))
    except (DegenerateError, ValueError) as error:
        return VaeLesson(settings, trouble=str(error))


def _only_what_matters(settings: VaeSettings) -> VaeSettings:
    """Controls without effect at their defaults, so that one run serves all."""
    plain = VaeSettings()
    if settings.e == EXACT:
        settings = replace(settings, beta=plain.beta)
    return settings if settings.e == ENCODER else replace(settings, width=plain.width, steps=plain.steps)


def plan_of(settings: VaeSettings) -> Plan:
    """How much work the settings are."""
    return _TWO if n_latents(settings.data) == 2 else _ONE


def n_iterations(settings: VaeSettings) -> int:
    """How many are run; an E-step follows them."""
    return _LINE_ITERATIONS if settings.decoder == LINE else plan_of(settings).iterations


def _model(settings: VaeSettings) -> VAE:
    plan, latents = plan_of(settings), n_latents(settings.data)
    if settings.decoder == LINE:
        return VAE(latents, 0, settings.noise)
    if settings.decoder == CURVE:
        return VAE(latents, plan.hidden, settings.noise, plan.prior, m_steps=plan.m_steps, max_nodes=plan.max_nodes)
    raise ValueError(f"there is no decoder “{settings.decoder}”: choose “{LINE}” or “{CURVE}”")


def _e_step(settings: VaeSettings) -> EStep:
    if settings.e == ENCODER:
        return amortised(settings.width, settings.steps, settings.beta, seed=settings.seed)
    if settings.e == OWN:
        return per_row(plan_of(settings).own, settings.beta)
    if settings.e == EXACT:
        return exact
    raise ValueError(f"there is no E-step “{settings.e}”: choose “{EXACT}”, “{OWN}” or “{ENCODER}”")


def _split(settings: VaeSettings, trace: Trace) -> tuple[Parts, DiagonalGaussian | None]:
    """The two parts of the gap after some E-steps, when Q is new. The posterior itself has neither part."""
    plan = plan_of(settings)
    chosen = np.array([i for i in kept_halves(len(trace), plan.splits) if trace[int(i)].kind == "E"])
    if settings.e == EXACT:
        return Parts(chosen, np.zeros(len(chosen)), np.zeros(len(chosen))), None
    splits = [gap_split(trace.model, trace[int(i)].params, trace.x, trace[int(i)].q, plan.climb) for i in chosen]
    family = np.array([split.family.sum() for split in splits])
    return Parts(chosen, family, np.array([split.amortisation.sum() for split in splits])), splits[-1].best


def _rate_and_distortion(trace: Trace) -> tuple[np.ndarray, np.ndarray]:
    model, x, n = trace.model, trace.x, len(trace.x)
    prior = model.latent_prior(trace[0].params, x)
    rates = [half.q.kl(prior).sum() / n for half in trace]
    distortions = [-model.expected_log_conditional(half.params, x, half.q).sum() / n for half in trace]
    return np.array(rates), np.array(distortions)


def tabs(data: str) -> tuple[str, str, str, str]:
    """The names of the closer looks at a run on these data."""
    return REMADE if n_latents(data) == 2 else ONE_ROW, TRADE, COLLAPSE, LOOSE


def nats(value: float) -> str:
    """A number of nats in words."""
    return f"{value:.3g}" if value >= 1e-6 else "under 1e-6"
