"""Small autoencoders against closed forms, integrals and finite differences."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from scipy.integrate import dblquad, quad

import emcore as em
from emcore.models.vae_clouds import gaussian_clouds, orders_for, rule
from emcore.models.vae_decoder import decode, squared_distances
from emcore.models.vae_encoder import ascent, climb_rows, new_encoder
from emcore.models.vae_posteriors import DiagonalGaussian
from emcore.parameters import Coordinates
from emcore.trees import from_vector, to_vector
from tests.registry.autoencoders import arc

IRIS = em.datasets.load("iris").drop("species").to_numpy()
EIGENVALUES, AXES = (part[..., ::-1] for part in np.linalg.eigh(np.cov(IRIS.T, ddof=0)))
ARC = arc()


def curve(n_factors=1, seed=3, width=4, **options):
    """A model with hidden units that act, its params, and rows."""
    model = em.VAE(n_factors, width, **options)
    rng = np.random.default_rng(seed)
    params = model.initial_params(ARC, "random-rows", rng)
    return model, params._replace(hidden_loadings=0.6 * rng.standard_normal(params.hidden_loadings.shape))


def some_q(n, n_factors, seed=0):
    rng = np.random.default_rng(seed)
    return DiagonalGaussian(rng.standard_normal((n, n_factors)), np.exp(rng.normal(-0.7, 0.3, (n, n_factors))))


def trained(model, x, e_step, iterations):
    return list(islice(em.steps(model, x, "random-rows", e_step), 2 * iterations))


# ---- the line


def test_a_line_has_the_posterior_the_m_step_and_the_parameters_of_ppca():
    ppca = em.PPCA(2)
    params = ppca.initial_params(IRIS, "random-rows", np.random.default_rng(0))
    model, line = em.VAE(2), em.VAE(2).from_ppca(params)
    q, rows = model.infer(line, IRIS)
    np.testing.assert_array_equal(rows, ppca.log_likelihood(params, IRIS))
    np.testing.assert_allclose(model.expected_log_joint(line, IRIS, q), ppca.expected_log_joint(params, IRIS, q))
    moved = model.m_step(model.suff_stats(IRIS, q), line)
    expected = ppca.m_step(ppca.suff_stats(IRIS, q), params)
    for name in expected._fields:
        np.testing.assert_allclose(getattr(moved, name), getattr(expected, name), rtol=1e-8, err_msg=name)
    assert model.n_params(line) == ppca.n_params(params)


def test_a_diagonal_q_turns_the_line_to_the_principal_axes():
    """Rotations of PPCA are free; of them, the one with a diagonal posterior has no gap (Lucas et al. 2019)."""
    model = em.VAE(2)
    last = trained(model, IRIS, em.amortised(width=0, steps=50), 300)[-1]
    noise = EIGENVALUES[2:].mean()
    gram = last.params.loadings.T @ last.params.loadings
    np.testing.assert_allclose(np.sort(np.diag(gram)), np.sort(EIGENVALUES[:2] - noise), rtol=1e-3)
    assert abs(gram[0, 1]) < 1e-5
    assert last.kl < 1e-3
    assert last.log_likelihood == pytest.approx(em.fit(em.PPCA(2), IRIS, restarts=1).log_likelihood, abs=2e-3)


@pytest.mark.parametrize("noise", [0.1, 0.3, 5.0])
@pytest.mark.parametrize("beta", [1.0, 4.0])
def test_a_latent_collapses_where_beta_times_the_noise_exceeds_its_eigenvalue(noise, beta):
    """ELBO_β/β is the ELBO with noise βσ², so that |loadings_j|² = λ_j - βσ², or 0 (Lucas et al. 2019, for β = 1)."""
    model = em.VAE(2, noise_variance=noise)
    last = trained(model, IRIS, em.amortised(width=0, steps=30, beta=beta), 250)[-1]
    lengths = np.sort((last.params.loadings**2).sum(axis=0))
    np.testing.assert_allclose(lengths, np.maximum(EIGENVALUES[1::-1] - beta * noise, 0.0), atol=2e-3)


# ---- log p(x) by quadrature


def test_a_curve_without_bend_has_the_likelihood_of_a_line():
    for n_factors in (1, 2):
        model = em.VAE(n_factors, width=3, noise_variance=0.3)
        params = model.initial_params(ARC, "random-rows", np.random.default_rng(0))
        line = em.VAE(n_factors, noise_variance=0.3)
        np.testing.assert_allclose(model.log_likelihood(params, ARC), line.log_likelihood(params, ARC), rtol=1e-8)
        q = some_q(len(ARC), n_factors)
        expected = q.kl(line.posterior(params, ARC))
        np.testing.assert_allclose(q.kl(model.posterior(params, ARC)), expected, rtol=1e-8)
        np.testing.assert_allclose(model.posterior(params, ARC).entropy(), line.posterior(params, ARC).entropy())


def density(params, x, *z):
    z = np.array(z)
    left = x - decode(params, z)
    noise = float(params.noise_variance)
    power = -0.5 * (left @ left / noise + z @ z)
    return np.exp(power) / (2 * np.pi * noise) ** (len(x) / 2) / (2 * np.pi) ** (len(z) / 2)


def test_the_likelihood_is_the_integral_over_one_latent():
    model, params = curve()
    for row, value in zip(ARC[:5], model.log_likelihood(params, ARC)):
        integral, _ = quad(lambda z, row=row: density(params, row, z), -8, 8, epsabs=0, epsrel=1e-11, limit=200)
        assert value == pytest.approx(np.log(integral), rel=1e-9)


def test_the_likelihood_is_the_integral_over_two_latents():
    model, params = curve(2, noise_variance=0.2)
    integral, _ = dblquad(lambda a, b: density(params, ARC[0], a, b), -6, 6, -6, 6, epsabs=0, epsrel=1e-7)
    assert model.log_likelihood(params, ARC)[0] == pytest.approx(np.log(integral), abs=1e-6)


@pytest.mark.parametrize("noise", [0.02, 0.1, 0.5])
@pytest.mark.parametrize("sharp", [1.0, 4.0])
@pytest.mark.parametrize("n_factors", [1, 2])
def test_refining_the_grid_changes_nothing(n_factors, sharp, noise):
    model, params = curve(n_factors, noise_variance=noise)
    params = params._replace(hidden_weights=sharp * params.hidden_weights)
    x = ARC[:8] if n_factors == 2 else ARC
    rows = model.log_likelihood(params, x)
    finer = replace(model, fineness=2.0, max_nodes=10**7).log_likelihood(params, x)
    np.testing.assert_allclose(rows, finer, rtol=0, atol=1e-9)
    coarse = replace(model, fineness=0.15).log_likelihood(params, x)
    np.testing.assert_allclose(coarse, finer, rtol=0, atol=1e-6, err_msg="too coarse a grid was not refined")


@pytest.mark.parametrize("sharp", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("n_factors", [1, 2])
def test_twice_the_nodes_change_no_expectation_under_a_gaussian(n_factors, sharp):
    model, params = curve(n_factors, noise_variance=0.1)
    params = params._replace(hidden_weights=sharp * params.hidden_weights)
    q = some_q(len(ARC), n_factors)
    orders = orders_for(params, q)
    finer = np.zeros(len(ARC))
    for cloud in gaussian_clouds(q, 2 * np.maximum(orders, 24), even=True):
        finer += cloud.sums(squared_distances(params, ARC[cloud.owner], cloud.points), len(ARC))
    constant = 2 * np.log(2 * np.pi * 0.1)
    found = model.expected_log_conditional(params, ARC, q)
    np.testing.assert_allclose(found, -0.5 * (finer / 0.1 + constant), rtol=0, atol=1e-9)
    few = replace(model, order=4).expected_log_conditional(params, ARC, q)
    assert np.abs(found - few).max() > 1e-6, "too few nodes are seen"


def test_an_offset_of_the_data_moves_nothing_else():
    model, params = curve(noise_variance=0.1)
    moved = params._replace(mean=params.mean + 1e6)
    np.testing.assert_allclose(model.log_likelihood(moved, ARC + 1e6), model.log_likelihood(params, ARC), atol=1e-6)


# ---- bounds and gradients


@pytest.mark.parametrize("n_factors", [1, 2])
def test_the_three_forms_agree_for_any_gaussian(n_factors):
    model, params = curve(n_factors, noise_variance=0.3, order=30)
    q = some_q(len(ARC), n_factors)
    first, second, third = em.elbo_forms(model, params, ARC, q._replace(scales=0.4 * q.scales))
    np.testing.assert_allclose(first, second, rtol=1e-12)
    np.testing.assert_allclose(first, third, rtol=1e-7)


def test_the_reparametrised_gradient_is_that_of_the_elbo():
    model, params = curve(2, noise_variance=0.3, order=16)
    q, step = some_q(len(ARC), 2), 1e-6
    nodes, weights = rule(2, model.rule_order)
    now = ascent(params, ARC, q, 1.0, nodes, weights)
    np.testing.assert_allclose(np.ptp(em.elbo(model, params, ARC, q) - now.rows), 0, atol=1e-10)
    for j in range(2):
        push = step * np.eye(2)[j]
        for field, slopes in (("means", now.d_means), ("scales", now.d_log_scales)):
            values = getattr(q, field)
            up, down = (
                (values + push, values - push) if field == "means" else (values * np.exp(push), values / np.exp(push))
            )
            ends = [em.elbo(model, params, ARC, q._replace(**{field: end})) for end in (up, down)]
            np.testing.assert_allclose(slopes[:, j], (ends[0] - ends[1]) / (2 * step), rtol=1e-5, atol=1e-6)


def test_the_encoders_gradient_is_that_of_the_objective():
    _, params = curve(1, noise_variance=0.3)
    rng, (nodes, weights) = np.random.default_rng(0), rule(1, 24)
    encoder = new_encoder(ARC, 1, 3, 0)
    encoder = from_vector(to_vector(encoder) + 0.2 * rng.standard_normal(to_vector(encoder).size), encoder)
    centre = len(encoder.centre) + 1  # centre and unit are held

    def objective(vector):
        return ascent(params, ARC, from_vector(vector, encoder).encode(ARC), 2.0, nodes, weights).rows.sum()

    here = to_vector(encoder)
    now = ascent(params, ARC, encoder.encode(ARC), 2.0, nodes, weights)
    slope = to_vector(encoder.gradient(ARC, now.d_means, now.d_log_scales))
    steps = 1e-6 * np.eye(len(here))
    numeric = [(objective(here + step) - objective(here - step)) / 2e-6 for step in steps]
    np.testing.assert_array_equal(slope[:centre], 0)
    np.testing.assert_allclose(slope[centre:], numeric[centre:], rtol=1e-5, atol=1e-4)


def test_many_m_steps_end_where_the_expected_log_joint_is_flat():
    model, params = curve(weight_prior=1.0, noise_variance=0.2, width=2, m_steps=400)
    model = model.resolve(ARC)
    q = some_q(len(ARC), 1)
    best = model.m_step(model.suff_stats(ARC, q), params)
    chart = Coordinates(model, best)
    here = chart.to_vector(best)

    def objective(vector):
        at = chart.from_vector(vector)
        return model.expected_log_joint(at, ARC, q).sum() + model.log_prior(at)

    numeric = [(objective(here + step) - objective(here - step)) / 2e-5 for step in 1e-5 * np.eye(len(here))]
    np.testing.assert_allclose(numeric, 0, atol=2e-3)


# ---- the two gaps


def test_mean_field_on_a_line_leaves_the_known_family_gap():
    """The best diagonal Gaussian has the precision's diagonal and the right mean: gap ½ (Σ log Λ_jj - log |Λ|)."""
    model = em.VAE(2, noise_variance=0.4)
    line = model.from_ppca(em.PPCA(2).initial_params(IRIS, "random-rows", np.random.default_rng(5)))
    precision = np.eye(2) + line.loadings.T @ line.loadings / 0.4
    split = em.gap_split(model, line, IRIS, some_q(len(IRIS), 2))
    gap = 0.5 * (np.log(np.diag(precision)).sum() - np.linalg.slogdet(precision)[1])
    assert gap > 0.01
    np.testing.assert_allclose(split.family, gap, rtol=1e-5)
    np.testing.assert_allclose(split.best.scales, 1 / np.sqrt(np.diag(precision)) * np.ones((150, 1)), rtol=1e-4)


def test_the_gap_is_the_sum_of_its_parts_and_no_q_of_its_own_does_better():
    model = em.VAE(1, 6, noise_variance=0.06, weight_prior=1.0).resolve(ARC)
    last = trained(model, ARC, em.amortised(width=0, steps=10), 15)[-1]
    split = em.gap_split(model, last.params, ARC, last.q)
    np.testing.assert_allclose(split.family + split.amortisation, em.gap(model, last.params, ARC, last.q), atol=1e-6)
    assert (split.amortisation >= 0).all()
    assert (split.family >= 0).all()
    assert split.amortisation.sum() > split.family.sum(), "a linear encoder cannot follow a curve"
    best = em.elbo(model, last.params, ARC, split.best)
    rng = np.random.default_rng(0)
    for size in (1e-3, 1e-2, 0.1):
        means = split.best.means + size * rng.standard_normal(split.best.means.shape)
        scales = split.best.scales * np.exp(size * rng.standard_normal(split.best.scales.shape))
        assert (em.elbo(model, last.params, ARC, DiagonalGaussian(means, scales)) <= best + 1e-9).all()


def test_a_wider_encoder_and_then_none_at_all_close_the_gap():
    model = em.VAE(1, 6, noise_variance=0.06, weight_prior=1.0).resolve(ARC)
    params = trained(model, ARC, em.per_row(40), 10)[-1].params
    bounds = []
    for e_step in (em.amortised(0, 300), em.amortised(8, 300), em.per_row(60), em.exact):
        bounds.append(em.elbo(model, params, ARC, e_step(model, params, ARC, None)).sum())
    assert np.all(np.diff(bounds) > 0)
    assert bounds[-1] == pytest.approx(model.log_likelihood(params, ARC).sum(), rel=1e-10)


def test_climbing_rows_never_lowers_one():
    model, params = curve(noise_variance=0.1)
    start = some_q(len(ARC), 1)
    before, after = (em.elbo(model, params, ARC, q) for q in (start, climb_rows(model, params, ARC, start, 3)))
    assert (after >= before - 1e-10).all()


# ---- E-steps


@pytest.mark.parametrize("e_step", [em.exact, em.per_row(20), em.amortised(6, 10)])
def test_every_half_step_climbs_and_the_theorem_holds(e_step):
    model = em.VAE(1, 6, noise_variance=0.06, weight_prior=1.0)
    halves = trained(model, ARC, e_step, 8)
    objective = np.array([half.objective for half in halves])
    assert (np.diff(objective) > -1e-9 * np.abs(objective[1:])).all()
    for half in halves:
        assert half.log_likelihood == pytest.approx(half.elbo + half.kl, abs=1e-8)
        assert half.kl >= 0


def test_beta_trades_rate_for_distortion():
    model = em.VAE(1, 6, noise_variance=0.06, weight_prior=1.0).resolve(ARC)
    params = trained(model, ARC, em.per_row(40), 10)[-1].params
    prior, rates, distortions = model.latent_prior(params, ARC), [], []
    for beta in (0.5, 1.0, 2.0, 8.0):
        q = em.per_row(60, beta)(model, params, ARC, None)
        rates.append(q.kl(prior).sum())
        distortions.append(-model.expected_log_conditional(params, ARC, q).sum())
    assert (np.diff(rates) < 0).all()
    assert (np.diff(distortions) > 0).all()


def test_draws_repeat_with_their_seed_and_approach_the_rule():
    model, params = curve(noise_variance=0.3)
    once, again, other = (em.amortised(3, 60, draws=400, seed=seed)(model, params, ARC, None) for seed in (1, 1, 2))
    np.testing.assert_array_equal(once.means, again.means)
    assert np.abs(once.means - other.means).max() > 0
    exact = em.amortised(3, 60, seed=1)(model, params, ARC, None)
    bounds = [em.elbo(model, params, ARC, q).sum() for q in (once, exact)]
    assert bounds[0] == pytest.approx(bounds[1], abs=0.03 * abs(bounds[1]))
    assert not em.amortised(draws=4).monotone
    assert em.amortised().monotone


def test_the_encoder_speaks_of_rows_that_it_has_not_seen():
    model, params = curve(noise_variance=0.3)
    q = em.amortised(3, 40)(model, params, ARC, None)
    seen_again = q.encoder.encode(ARC[:4])
    np.testing.assert_allclose(seen_again.means, q.means[:4])
    assert q.encoder.encode(arc(5, seed=9)).means.shape == (5, 1)
    assert q.rows(slice(2)).encoder is q.encoder


def test_a_fit_samples_like_its_data():
    model = em.VAE(1, 6, noise_variance=0.06, weight_prior=1.0)
    x = arc(200, seed=4)
    fit = em.fit(model, x, restarts=1, e_step=em.amortised(6, 20), max_iter=25)
    drawn, z = model.sample(fit.params, 4000, np.random.default_rng(0))
    assert z.shape == (4000, 1)
    np.testing.assert_allclose(drawn.mean(axis=0), x.mean(axis=0), atol=0.15)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(x.T), atol=0.3)


# ---- refusals


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: em.VAE(3, width=4), "n_factors must be 1 or 2"),
        (lambda: em.VAE(0), "n_factors must be at least 1"),
        (lambda: em.VAE(1, noise_variance=-1.0), "noise_variance must be above 0"),
        (lambda: em.VAE(1, weight_prior=-1.0), "weight_prior must be"),
        (lambda: em.VAE(1, order=1), "order must be at least 2"),
        (lambda: em.VAE(1, fineness=0.0), "fineness must be above 0"),
        (lambda: em.amortised(beta=0.0), "beta must be above 0"),
        (lambda: em.amortised(steps=0), "at least 1"),
        (lambda: em.per_row(steps=0), "steps must be at least 1"),
        (lambda: em.VAE(2).resolve(ARC), "must be below the number of columns"),
        (lambda: em.VAE(1).resolve(np.ones((5, 2))), "x has no variance"),
        (lambda: em.VAE(1, 2, weight_prior=1.0).log_prior(curve(width=2)[1]), "scaled from the data"),
    ],
)
def test_what_cannot_be_is_refused_in_words(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_types_and_other_models_are_refused():
    with pytest.raises(TypeError, match="n_factors must be a whole number"):
        em.VAE(1.5)
    with pytest.raises(TypeError, match="amortised needs a decoder"):
        em.amortised()(em.PPCA(1), None, IRIS, None)


def test_a_decoder_too_steep_for_its_grid_is_degenerate():
    model, params = curve(2, noise_variance=0.01, max_nodes=400)
    with pytest.raises(em.DegenerateError, match="so steep beside its noise"):
        model.log_likelihood(params, ARC)


def test_noise_that_falls_to_zero_is_degenerate():
    z = np.linspace(-1, 1, 9)[:, None]
    with pytest.raises(em.DegenerateError, match="noise variance has fallen to 0"):
        list(islice(em.steps(em.VAE(1), np.hstack([z, 2 * z, -z]), "random-rows"), 4000))
