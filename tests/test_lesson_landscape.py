"""The lesson "Where does EM end up?": maps, saddles, spikes, renamings, annealing, and which fit to believe."""

import json
from itertools import islice

import numpy as np
import pytest
from scipy.stats import binom, poisson
from sklearn.mixture import GaussianMixture

from emcore import datasets
from emcore.charts import landscape as maps
from emcore.charts import traps as curves
from emcore.charts.live import live_spec
from emcore.classroom import landscape_class, links, traps
from emcore.classroom.landscape import COINS, MAPS, MURRAY, NOTICES, basins, climb, drawn, em_path, heights, terrain
from emcore.classroom.optima import ManySettings, ends
from emcore.stopping import Status

HEADS = datasets.load("coin_tosses")["heads"].to_numpy()
NOTICES_TABLE = datasets.load("death_notices")
IRIS = ManySettings()


# ---- maps


@pytest.mark.parametrize("share", [0.5, 0.3])
def test_a_map_is_the_log_likelihood(share):
    coins, deaths = heights(COINS, share), heights(NOTICES, share)
    for j, i in ((3, 50), (30, 30), (59, 0)):
        mixed = share * binom.pmf(HEADS, 10, coins.across[i]) + (1 - share) * binom.pmf(HEADS, 10, coins.up[j])
        assert coins.log_likelihood[j, i] == pytest.approx(np.log(mixed).sum(), rel=1e-12)
        number, days = NOTICES_TABLE["notices"].to_numpy(), NOTICES_TABLE["days"].to_numpy()
        mixed = share * poisson.pmf(number, deaths.across[i]) + (1 - share) * poisson.pmf(number, deaths.up[j])
        assert deaths.log_likelihood[j, i] == pytest.approx(days @ np.log(mixed), rel=1e-12)


@pytest.mark.parametrize("name", MAPS.values())
def test_a_step_on_a_map_is_an_iteration_of_em(name):
    land = terrain(name, 0.3)
    places = np.random.default_rng(3).uniform(*np.transpose(land.domain), size=(6, 2))
    for place, after, value in zip(places, land.step(places), land.log_likelihoods(places)):
        (_, at_start), (params, _) = islice(em_path(land.problem, land.params(*place)), 2)
        np.testing.assert_allclose(after, land.place(params), rtol=1e-12, atol=1e-14)
        assert value == pytest.approx(at_start, rel=1e-12)


def test_two_coins_started_equal_stay_on_a_saddle_for_ever():
    equal, apart = climb(COINS, 0.5, (0.5, 0.5)), climb(COINS, 0.5, (0.85, 0.3))
    np.testing.assert_allclose(equal.places[1:], HEADS.mean() / 10, rtol=1e-12)
    assert (equal.kind, apart.kind) == ("saddle", "maximum")
    np.testing.assert_allclose(equal.eigenvalues, [-111.408199, 59.378023], rtol=1e-5)
    np.testing.assert_allclose(apart.places[-1], [0.7968, 0.5196], atol=1e-4)
    # Without the binomial coefficients the two values are -32.052 and -31.570.
    coefficients = binom.logpmf(HEADS, 10, 0.5).sum() + 50 * np.log(2)
    assert equal.log_likelihood[-1] - coefficients == pytest.approx(-32.052, abs=1e-3)
    assert apart.log_likelihood[-1] - coefficients == pytest.approx(-31.570, abs=1e-3)
    assert "saddle" in equal.words
    assert "+59.38" in equal.words


def test_murrays_normal_has_its_saddle_between_two_summits():
    """Murray (1977): ρ = ±1/2 with variance 8/3; from ρ = 0 EM stays at variance 5/2."""
    saddle, right, left = (climb(MURRAY, 0.5, start) for start in ((0.0, 1.5), (0.8, 1.5), (-0.8, 1.5)))
    np.testing.assert_allclose(saddle.places[-1], [0.0, 2.5], atol=1e-7)
    np.testing.assert_allclose(right.places[-1], [0.5, 8 / 3], atol=1e-5)
    np.testing.assert_allclose(left.places[-1], [-0.5, 8 / 3], atol=1e-5)
    assert [path.kind for path in (saddle, right, left)] == ["saddle", "maximum", "maximum"]
    assert saddle.log_likelihood[-1] == pytest.approx(-30.033, abs=1e-3)
    assert right.log_likelihood[-1] == pytest.approx(-29.974, abs=1e-3)


def test_every_path_climbs_and_stays_where_the_map_puts_it():
    for name in MAPS.values():
        land = terrain(name)
        for start in land.starts:
            path = climb(name, 0.5, start)
            assert (np.diff(path.log_likelihood) >= -1e-9 * abs(path.log_likelihood[0])).all()
            np.testing.assert_allclose(path.places[0], start, rtol=1e-9, atol=1e-12)
            assert path.settled


def test_the_diagonal_parts_the_basins_and_belongs_to_neither():
    found = basins(COINS)
    side = np.sign(found.starts[:, 0] - found.starts[:, 1]).round()
    for which in (-1.0, 0.0, 1.0):
        assert len(set(found.ends[side == which])) == 1
    np.testing.assert_allclose(found.summits[found.ends[side == 0][0]], [0.66, 0.66], atol=1e-4)
    assert found.log_likelihood[0] == pytest.approx(found.log_likelihood[1], abs=1e-6)


def test_unequal_shares_make_one_summit_lower():
    """With the shares of the best fit the higher summit is that of Hasselblad (1969)."""
    good, bad = climb(NOTICES, 0.36, (0.6, 4.2)), climb(NOTICES, 0.36, (4.2, 0.6))
    assert good.log_likelihood[-1] == pytest.approx(-1989.946, abs=2e-3)
    assert good.log_likelihood[-1] - bad.log_likelihood[-1] == pytest.approx(0.852, abs=2e-3)
    assert good.kind == bad.kind == "maximum"


def test_a_map_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="there is no map 'hills'"):
        terrain("hills")
    with pytest.raises(ValueError, match="between 0 and 1"):
        terrain(COINS, 1.0)


# ---- traps


@pytest.mark.parametrize(("nudge", "steps"), [(1e-6, 28), (1e-4, 17), (1e-2, 6)])
def test_a_nudge_off_the_saddle_grows_by_a_constant_factor(nudge, steps):
    """Near the saddle an iteration multiplies the distance by the variance of the heads over the binomial's."""
    run = traps.escape(COINS, nudge)
    assert run.steps == steps
    factor = HEADS.var() / (10 * 0.66 * 0.34)
    assert run.growth == pytest.approx(factor, rel=2e-2)
    assert f"takes {steps} iterations" in run.message
    assert run.apart[steps - 1] < traps.APART < run.apart[steps]


def test_without_a_nudge_nothing_ever_moves():
    for name in (COINS, MURRAY):
        run = traps.escape(name, 0.0)
        assert (run.apart == 0.0).all()
        assert run.steps is None
        assert "still exactly on the saddle" in run.message


def test_the_galaxies_offered_for_a_spike_are_the_loneliest():
    x = np.sort(traps.galaxies()[:, 0])
    gaps = np.minimum(np.diff(x, prepend=-np.inf), np.diff(x, append=np.inf))[1:-1]
    assert set(traps.PINNED) == set(x[1:-1][np.argsort(-gaps)[:4]])


def test_a_spike_gains_log_10_a_decade_and_passes_every_summit():
    seen = traps.spike(25.633, 0.3)
    assert seen.per_decade == pytest.approx(np.log(10), rel=1e-9)
    best = max(
        GaussianMixture(2, covariance_type="spherical", reg_covar=0, tol=1e-12, max_iter=5000, **start)
        .fit(traps.galaxies())
        .score(traps.galaxies())
        for start in ({"random_state": seed, "init_params": "random_from_data"} for seed in range(8))
    )
    assert seen.interior == pytest.approx(82 * best, abs=1e-4)
    assert seen.interior == pytest.approx(-220.058, abs=1e-3)
    assert 1e-12 < seen.crossing < 1e-9
    assert seen.log_likelihood[0] > seen.interior > seen.log_likelihood[-1]


def test_em_falls_into_the_spike_from_close_by_and_escapes_from_afar():
    assert traps.spike(25.633, 0.3).status is Status.DEGENERATE
    assert "collapsed" in traps.spike(25.633, 0.3).words
    far = traps.spike(25.633, 1.0)
    assert far.status is Status.CONVERGED
    assert far.interior - far.path_log_likelihood[-1] == pytest.approx(0.185, abs=1e-3), "a summit, not the highest"


@pytest.mark.parametrize("k", [2, 3])
def test_renamed_fits_are_equal_and_their_means_are_worse(k):
    lines = traps.swaps(k)
    assert len(lines) == {2: 1, 3: 5}[k]
    for line in lines:
        first, middle, last = line.log_likelihood[[0, 20, 40]]
        assert first == pytest.approx(last, abs=1e-8)
        assert first - middle > 20
        assert sorted(line.means) == sorted(lines[0].means)
    assert f"{first:,.3f}" in traps.swaps_in_words(lines)


def test_annealing_helps_neither_too_hot_nor_too_cold():
    reached = {beta: traps.annealed(beta).reached for beta in (0.1, 0.4, 0.8)}
    assert reached == {0.1: 2, 0.4: 4, 0.8: 0}
    seen = traps.annealed(0.4)
    assert seen.top == pytest.approx(-203.179, abs=1e-3)
    assert seen.plain[-1] == pytest.approx(-212.080, abs=1e-3)
    assert seen.warm == 31
    assert "4 of 4" in seen.message


# ---- many starts


def test_on_iris_the_highest_of_many_starts_is_broken_and_the_best_sound_one_is_published():
    """mclust's fit has -180.1855 (R, `Mclust(iris[, 1:4], 3, "VVV")`)."""
    seen = ends(IRIS)
    sound, broken = seen.found[0], max((o for o in seen.found if not o.sound), key=lambda o: o.objective)
    assert sound.objective == pytest.approx(-180.185477, abs=1e-4)
    assert sound.starts >= 20
    assert broken.objective > sound.objective + 20
    assert broken.starts <= 2
    assert seen.thinnest[0] > 0.05 > seen.thinnest[list(seen.found).index(broken)]
    assert "in a collapse" in seen.message
    assert seen.kind == "warn"
    assert len(seen.rows()) == len(seen.found) == len(seen.csv().splitlines()) - 1


def test_a_small_prior_hides_the_collapse_and_a_larger_one_removes_it():
    seen = ends(ManySettings(prior_strength=0.001))
    assert all(optimum.sound for optimum in seen.found)
    assert seen.found[0].objective > -150
    assert seen.found[0].starts < 3
    assert seen.thinnest[0] < 0.01
    assert "is it a spike?" in seen.message
    stronger = ends(ManySettings(prior_strength=0.1))
    assert stronger.thinnest[0] > 0.05
    assert stronger.found[0].starts >= 20


def test_settings_that_allow_no_run_come_back_in_words():
    seen = ends(ManySettings(n_components=200))
    assert seen.found is None
    assert "at least as many rows" in seen.message
    assert seen.kind == "danger"
    assert seen.rows() == []
    assert seen.csv() == ""


# ---- exercises and links


def test_exercises_know_their_answers_and_their_slips():
    for exercise in landscape_class.exercises():
        assert exercise.mark(exercise.answer).kind == "success"
        for slip in exercise.slips:
            assert exercise.mark(slip.value).words == f"Not yet. {slip.hint}"
    equal, publish, orders, nudge, decade = landscape_class.exercises()
    assert equal.answer == pytest.approx(0.66)
    assert publish.answer == "-180.19"
    assert landscape_class.exercises()[1].choices == ["-148.62", "-180.19", "-186.57"]
    assert orders.answer == 24
    assert nudge.answer == 22
    assert decade.answer == pytest.approx(2.302585)


def test_a_temperature_is_marked_by_trying_it():
    assert landscape_class.mark_beta(None).words == ""
    assert landscape_class.mark_beta(0.4).kind == "success"
    assert "Too hot" in landscape_class.mark_beta(0.1).words
    assert "Too cold" in landscape_class.mark_beta(0.8).words


def test_a_link_may_place_the_start_until_another_is_chosen():
    linked = links.read({"place": "0.3,0.4"}, landscape_class.CONTROLS)
    title = linked["map"]
    assert landscape_class.first_place(linked, title, 0.5, "apart", 0) == (0.3, 0.4)
    assert landscape_class.first_place(linked, title, 0.5, "apart", 1) == (0.85, 0.3)
    assert landscape_class.first_place(linked, title, 0.5, "equal", 0) == (0.5, 0.5)
    assert landscape_class.first_place(linked, title, 0.4, "apart", 0) == (0.85, 0.3)


def test_links_restore_many_starts_and_presets_are_allowed():
    settings = ManySettings("galaxies", 4, 0.001, 20, 7)
    written = {name: str(value) for name, value in landscape_class.many_as_link(settings).items()}
    assert landscape_class.many_settings(links.read(written, landscape_class.CONTROLS)) == settings
    for preset in landscape_class.PRESETS.values():
        text = {name: str(value) for name, value in preset.items()}
        read = links.read(text, landscape_class.CONTROLS)
        assert all(read[name] == value for name, value in preset.items())


# ---- charts


def drawn_map(name=COINS, start=(0.85, 0.3), others=False):
    return maps.landscape(**drawn(name, 0.5, climb(name, 0.5, start), others))


def every_chart():
    seen, pinned, warm, lines = ends(IRIS), traps.spike(25.633, 0.3), traps.annealed(0.4), traps.swaps(2)
    nudged = {nudge: traps.escape(COINS, nudge).apart for nudge in traps.NUDGES}
    path = pinned.path_sd, pinned.path_log_likelihood
    return {
        "map": drawn_map(),
        "basins": drawn_map(others=True),
        "optima": maps.optima(seen.found, seen.thinnest),
        "escape": curves.escape(nudged, 1e-4, traps.APART),
        "spike": curves.spike(pinned.sd, pinned.log_likelihood, pinned.interior, *path),
        "between": curves.between([(line.title, line.log_likelihood) for line in lines], lines[0].grid),
        "annealing": curves.annealing(warm.plain, warm.runs, warm.top, warm.warm),
    }


def test_every_chart_is_valid_small_described_and_finite():
    for name, chart in every_chart().items():
        spec = chart.to_dict(validate=True)
        assert len(spec["description"]) > 40, name
        text = chart.to_json()
        assert len(text) < 250_000, name
        json.loads(text, parse_constant=lambda value, name=name: pytest.fail(f"{name} holds {value}"))
        assert chart.properties(width="container").to_dict(validate=True)["width"] == "container"


def test_a_map_shows_its_path_and_shades_by_nats_below_the_summit():
    tables = drawn_map().to_dict()["datasets"]
    path = climb(COINS, 0.5, (0.85, 0.3))
    assert [(row["x"], row["y"]) for row in tables["path"]] == [tuple(place) for place in path.places.tolist()]
    land = heights(COINS)
    below = land.log_likelihood.max() - land.log_likelihood
    for i, j in ((5, 5), (44, 28), (30, 52), (31, 49), (10, 40)):
        over = [row for row in tables["land"] if row["x"] <= land.across[i] < row["x2"]]
        top = [row["below"] for row in over if row["y"] <= land.up[j] < row["y2"]][-1]
        level = next((level for level in maps.LEVELS if below[j, i] < level), None)
        assert top == (f"> {maps.LEVELS[-1]:g}" if level is None else f"< {level:g}")


def test_another_start_changes_the_path_alone():
    one, other = (live_spec(drawn_map(start=start)) for start in ((0.85, 0.3), (0.2, 0.6)))
    assert one.shell == other.shell
    assert one.tables["land"] == other.tables["land"]
    assert one.tables["path"] != other.tables["path"]


def test_degenerate_ends_are_flagged_on_the_histogram():
    rows = every_chart()["optima"].to_dict()["datasets"]["optima"]
    found = ends(IRIS).found
    assert [row["ended"] for row in rows] == ["sound" if o.sound else "degenerate" for o in found]
    assert sum(row["starts"] for row in rows) == 60
    assert [row["label"] for row in rows if row["named"]] == ["-180.19", "-148.62"]
