"""“The code that does this”: each lesson's script, run on its own, makes the run that the lesson shows."""

import contextlib
import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from emcore.classroom import mixture
from emcore.classroom.script import call, literal, script
from emcore.trace import Trace

FAITHFUL = mixture.MixtureSettings("old_faithful", ("eruptions", "waiting"), 3, init="random-rows", seed=1)
PENGUINS = mixture.MixtureSettings("penguins", ("bill_length_mm", "flipper_length_mm"), 3, covariance="tied")
BY_HAND = replace(FAITHFUL, init=mixture.BY_HAND, means=((2.0, 55.0), (4.0, 80.0), (3.1, 70.25)))
MIXTURES = [
    FAITHFUL,
    PENGUINS,
    BY_HAND,
    replace(FAITHFUL, init="random-responsibilities", hard=True, max_iter=100),
    replace(PENGUINS, covariance="diag", prior_strength=0.3, seed=7),
    replace(BY_HAND, covariance="spherical", prior_strength=10, hard=True),
]


def ran(text: str) -> dict[str, Any]:
    """What a script leaves behind when it is run as it stands."""
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(compile(text, "fit.py", "exec"), names)
    return names | {"said": said.getvalue()}


def assert_same_run(found: Trace, shown: Trace) -> None:
    """Half-step by half-step, to the last bit."""
    assert [(half.iteration, half.kind) for half in found] == [(half.iteration, half.kind) for half in shown]
    for one, other in zip(found, shown, strict=True):
        assert (one.log_likelihood, one.elbo, one.kl) == (other.log_likelihood, other.elbo, other.kl)
        for left, right in zip(one.params, other.params, strict=True):
            np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize(
    "settings", MIXTURES, ids=lambda settings: f"{settings.dataset}-{settings.init}-{settings.covariance}"
)
def test_a_mixture_script_makes_the_run_on_screen(settings):
    text, lesson = mixture.script(settings), mixture.mixture_lesson(settings)
    found = ran(text)
    assert_same_run(found["fit"].trace, lesson.trace)
    assert found["fit"].status == lesson.fit.status
    assert f"{lesson.trace[-1].log_likelihood:.6f}" in found["said"].splitlines()[-1]


def test_a_script_is_short_and_needs_emcore_alone():
    lines = mixture.script(FAITHFUL).splitlines()
    assert [line for line in lines if "import" in line] == ["import emcore as em"]
    assert len(lines) < 20
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize("text", ['"); import os; ("', "a\nb", "\\", "'\"`$", "````", "é✓\u2028\x7f"])
def test_what_was_typed_is_a_string_in_a_script(text):
    assert ran(script([f"x = {literal([text, 1.5, (None, True)])}"]))["x"] == [text, 1.5, [None, True]]
    assert "\n" not in literal(text)


def test_a_long_call_is_folded():
    folded = call("dict", **{f"argument_{place}": place for place in range(12)})
    assert ran(script([f"x = {folded}"]))["x"] == {f"argument_{place}": place for place in range(12)}
    assert max(map(len, folded.splitlines())) < 100 < len(folded)
