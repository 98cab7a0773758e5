"""“The code that does this” of apps 1, 3 and 4, run on its own, makes the runs that the lessons show."""

import numpy as np
import pytest

from emcore.classroom import bound, bound_script, landscape, landscape_script, restricted, restricted_script
from tests.test_scripts import assert_same_run, ran

BOUNDS = [
    bound.BoundSettings(),
    bound.BoundSettings(theta=0.62, q=bound.LEAST_LIKELY, amount=1.0),
    bound.BoundSettings(theta=0.02, q=bound.EVEN, amount=0.3, row=3),
    bound.BoundSettings(bound.COINS, 0.6),
    bound.BoundSettings(bound.COINS, 0.6, bound.LEAST_LIKELY, 1.0, 1),
    bound.BoundSettings(bound.COINS, 0.98, bound.LIKELIEST, 0.25),
    bound.BoundSettings(bound.COINS, 0.5, bound.EVEN, 0.5, 4),
]


@pytest.mark.parametrize("settings", BOUNDS, ids=str)
def test_a_bound_script_makes_the_run(settings):
    lesson = bound.bound_lesson(settings)
    found = ran(bound_script.script(lesson))
    assert_same_run(found["trace"], lesson.trace)
    assert f"{lesson.trace[-1].log_likelihood:.6f}" in found["said"].splitlines()[-1]


CLIMBS = [
    (landscape.COINS, 0.5, (0.85, 0.3)),
    (landscape.COINS, 0.3, (0.5, 0.5)),
    (landscape.NOTICES, 0.36, (0.6, 4.2)),
    (landscape.MURRAY, 0.5, (0.8, 1.5)),
    (landscape.MURRAY, 0.5, (0.0, 1.5)),
]


@pytest.mark.parametrize(("name", "share", "start"), CLIMBS)
def test_a_path_script_climbs_to_the_same_place(name, share, start):
    """The map's own steps are closed forms for many places at once: sums in another order."""
    path = landscape.climb(name, share, start)
    found = ran(landscape_script.script(name, share, start))
    place = landscape.terrain(name, share).place(found["m"].params)
    np.testing.assert_allclose(place, path.places[-1], rtol=1e-7, atol=1e-9)
    assert found["m"].log_likelihood == pytest.approx(path.log_likelihood[-1], rel=1e-10)
    assert found["m"].iteration == len(path.places) - 1
    assert found["point"].kind == path.kind


RESTRICTED = [
    restricted.RestrictedSettings(),
    restricted.RestrictedSettings(start=restricted.SUMMIT, noise=0.02),
    restricted.RestrictedSettings(q=restricted.FIXED, noise=0.8),
    restricted.RestrictedSettings(restricted.BILLS, restricted.HARD, restricted.SUMMIT),
    restricted.RestrictedSettings(restricted.BILLS, restricted.TEMPERED, beta=0.5),
    restricted.RestrictedSettings(restricted.BILLS, restricted.FIXED, restricted.SUMMIT),
    restricted.RestrictedSettings(restricted.CAUSES, restricted.MEAN_FIELD, restricted.SUMMIT),
    restricted.RestrictedSettings(restricted.CAUSES, restricted.TOP_TWO),
    restricted.RestrictedSettings(restricted.CAUSES, restricted.EXACT),
]


@pytest.mark.parametrize("settings", RESTRICTED, ids=str)
def test_a_script_of_a_restricted_q_makes_the_run(settings):
    lesson = restricted.restricted_lesson(settings)
    found = ran(restricted_script.script(lesson))
    assert_same_run(found["trace"], lesson.trace)
    assert f"{lesson.trace[-1].elbo:.6f}" in found["said"].splitlines()[-1]
