"""The code that makes the run which the lesson from EM to the VAE shows."""

from emcore.classroom import script as code
from emcore.classroom.curves import BOW, COLUMNS, DIGITS, EACH, GEYSER, SHOWN, SPIRAL, n_latents
from emcore.classroom.script import call, literal
from emcore.classroom.vae import ENCODER, EXACT, LINE, OWN, VaeSettings, n_iterations, plan_of

_STANDARDISED = (
    'x = em.datasets.load("old_faithful").to_numpy()',
    "x = (x - x.mean(axis=0)) / x.std(axis=0)",
)
_BOW = (
    "angle = 1.35 * np.pi * (np.arange(120) + 0.5) / 120",
    "noise = 0.2 * np.random.default_rng(0).standard_normal((120, 2))",
    "x = 1.5 * np.column_stack([np.cos(angle), np.sin(angle)]) + noise",
)
_SPIRAL = (
    "along = np.sqrt((np.arange(120) + 0.5) / 120)",
    "angle, radius = 2.6 * np.pi * along, 0.35 + 1.5 * along",
    "noise = 0.12 * np.random.default_rng(0).standard_normal((120, 2))",
    "x = radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)]) + noise",
)
_DIGITS = (
    'table = em.datasets.load("digits")',
    'digit = table["digit"].to_numpy()',
    f"chosen = np.sort(np.concatenate([np.flatnonzero(digit == d)[:{EACH}] for d in {literal(SHOWN)}]))",
    'images = table.drop("digit").to_numpy()[chosen] / 16.0',
    "centred = images - images.mean(axis=0)",
    f"scores = centred @ np.linalg.svd(centred, full_matrices=False)[2][:{COLUMNS}].T  # principal components",
    "x = scores / np.sqrt((scores**2).mean())",
)
_NUMPY = ("import numpy as np", "")


def script(settings: VaeSettings) -> str:
    """The code of the settings' run, and of the two parts of its gap."""
    plan, iterations = plan_of(settings), n_iterations(settings)
    exact = settings.e == EXACT
    run = call("em.steps", "model", "x", '"random-rows"', "e_step", seed=settings.seed)
    return code.script(
        _data(settings.data),
        [f"model = {_model(settings)}", f"e_step = {_e_step(settings)}", f"run = {run}"],
        [
            f"trace = [next(run) for _ in range({2 * iterations + 1})]  # {iterations} iterations and an E-step",
            *code.half_steps("trace"),
        ],
        ["last = trace[-1]", 'print(f"log p(x) {last.log_likelihood:,.3f}, ELBO {last.elbo:,.3f}, gap {last.kl:.3g}")']
        if exact
        else [
            "last = trace[-1]",
            f"parts = em.gap_split(model, last.params, x, last.q, steps={plan.climb})",
            'print(f"log p(x) {last.log_likelihood:,.3f}, ELBO {last.elbo:,.3f}")',
            'print(f"family gap {parts.family.sum():.3g}, amortisation gap {parts.amortisation.sum():.3g}")',
        ],
    )


def _data(name: str) -> tuple[str, ...]:
    made = {BOW: _NUMPY + _BOW, SPIRAL: _NUMPY + _SPIRAL, GEYSER: _STANDARDISED, DIGITS: _NUMPY + _DIGITS}
    return made[name]


def _model(settings: VaeSettings) -> str:
    plan, latents = plan_of(settings), n_latents(settings.data)
    if settings.decoder == LINE:
        return call("em.VAE", str(latents), width=0, noise_variance=settings.noise)
    return call(
        "em.VAE",
        str(latents),
        width=plan.hidden,
        noise_variance=settings.noise,
        weight_prior=plan.prior,
        m_steps=plan.m_steps,
        max_nodes=plan.max_nodes,
    )


def _e_step(settings: VaeSettings) -> str:
    beta = None if settings.beta == 1 else settings.beta
    if settings.e == ENCODER:
        return call("em.amortised", width=settings.width, steps=settings.steps, beta=beta, seed=settings.seed)
    return call("em.per_row", steps=plan_of(settings).own, beta=beta) if settings.e == OWN else "em.exact"
