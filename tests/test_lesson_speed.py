"""The lesson "How fast, and have we arrived?": rates, stopping rules, predictions, acceleration and what they cost."""

import json

import numpy as np
import pytest
import vl_convert

from emcore.charts import convergence as curves
from emcore.charts.live import live_spec
from emcore.classroom import links, speed_class
from emcore.classroom.arrival import AITKEN, DISTANCE, GAIN, RULES, STEP, at, marks, rows, stops, watch
from emcore.classroom.speed import (
    ABO,
    CENSORED,
    EXAMPLES,
    LINKAGE,
    NORMALS,
    NOTICES,
    SCHEMES,
    SHARES,
    bare_squarem,
    example,
    race,
)
from emcore.classroom.tables import markdown_table


def test_the_limits_are_the_published_ones():
    assert race(LINKAGE).limit[0] == pytest.approx(0.6268215, abs=1e-7)  # Dempster, Laird & Rubin (1977)
    np.testing.assert_allclose(race(ABO).limit, [0.2136, 0.0501, 0.7363], atol=5e-5)  # Lange (2002)
    np.testing.assert_allclose(race(NOTICES).limit, [0.3599, 0.6401, 1.2561, 2.6634], atol=5e-5)  # Hasselblad (1969)
    assert race(NOTICES).log_likelihood == pytest.approx(-1989.94586, abs=1e-5)


@pytest.mark.parametrize(("name", "share"), [(LINKAGE, 0.132779), (NOTICES, 0.995666)])
def test_the_rate_is_the_missing_share_and_the_slope_of_the_error(name, share):
    ran = race(name)
    assert ran.rate.from_information == pytest.approx(share, abs=1e-6)
    inside = np.flatnonzero((ran.em.error < 1e-2) & (ran.em.error > 1e-6))
    slope = (ran.em.error[inside[-1]] / ran.em.error[inside[0]]) ** (1.0 / (inside[-1] - inside[0]))
    assert slope == pytest.approx(share, rel=2e-3)
    assert f"{share:.5f}"[:6] in ran.words


@pytest.mark.parametrize("share", SHARES)
def test_of_censored_waiting_times_the_censored_share_is_the_rate(share):
    """I_c = n/λ² and I_o = events/λ²; the maximum is events over time at risk."""
    ran = race(CENSORED, share)
    assert ran.rate.from_information == pytest.approx(share, abs=1e-8)
    x = ran.example.problem.x
    events = (x[:, 0] == x[:, 1]).sum()
    assert events == round(20 * (1 - share))
    assert ran.limit[0] == pytest.approx(events / x[:, 0].sum(), rel=1e-10)
    assert ran.standard_errors[0] == pytest.approx(ran.limit[0] / np.sqrt(events), rel=1e-6)
    assert ran.complete_errors[0] == pytest.approx(ran.limit[0] / np.sqrt(20), rel=1e-6)


def test_normals_that_overlap_are_slow():
    shares = [race(NORMALS, separation).rate.from_information for separation in (1.0, 2.0, 3.0, 5.0)]
    np.testing.assert_allclose(shares, [0.98977, 0.90725, 0.65618, 0.15854], atol=1e-4)


def test_complete_information_gives_what_labelled_rows_would():
    """Two Poissons: the weight's binomial error, the rates' √(λ/n_k)."""
    ran = race(NOTICES)
    days = 1096
    first = ran.limit[0]
    np.testing.assert_allclose(ran.complete_errors[:2], np.sqrt(first * (1 - first) / days), rtol=1e-6)
    expected = np.sqrt(ran.limit[2:] / (days * ran.limit[:2]))
    np.testing.assert_allclose(ran.complete_errors[2:], expected, rtol=1e-6)
    assert ran.standard_errors[0] / ran.complete_errors[0] == pytest.approx(13.4, abs=0.05)
    abo = race(ABO)
    assert np.isfinite(abo.complete_errors).all()
    assert (abo.complete_errors < abo.standard_errors).all()


def test_every_scheme_reaches_the_limit_and_none_ever_goes_down():
    for name in EXAMPLES.values():
        ran = race(name)
        assert [run.scheme for run in ran.runs] == list(SCHEMES)
        for run in ran.runs:
            assert run.error[-1] < 1e-7
            assert (np.diff(run.log_likelihood) >= -1e-11 * abs(ran.log_likelihood)).all()
            assert (np.diff(run.evaluations) > 0).all()


def test_acceleration_saves_passes_where_much_is_missing():
    needed = race(NOTICES).needed(1e-4)
    assert needed["EM"] > 1500
    assert needed["over-relaxed"] < needed["EM"] / 2
    assert needed["SQUAREM"] < needed["EM"] / 10
    assert needed["Anderson"] < needed["SQUAREM"]
    assert race(LINKAGE).needed(1e-4)["EM"] <= 8
    assert race(LINKAGE).needed(0.0)["EM"] is None


# ---- stopping


def test_a_small_gain_is_not_nearness():
    """Where the weight of the death notices is .373 and not .3599, log p(x) has .0023 left to gain."""
    ran = race(NOTICES)
    seen = watch(ran)
    t = int(np.argmax(ran.em.numbers[:, 0] < 0.373))
    assert seen.true_left[t] == pytest.approx(0.0023, abs=1e-4)
    assert seen.gain[t] < 2.5e-5
    assert ran.em.error[t] > 0.05
    t = 447
    assert ran.em.numbers[t, 0] == pytest.approx(0.3781, abs=1e-4)
    assert seen.true_left[t] == pytest.approx(0.00429, abs=1e-5)
    assert at(ran, t).startswith("At iteration 447 weights[0] is 0.3781, its limit 0.3599")


def test_only_the_predicted_distance_keeps_its_word_for_every_number():
    found = {stop.rule: stop for stop in stops(race(NOTICES), 1e-4)}
    assert list(found) == list(RULES)
    order = [found[rule].iteration for rule in (GAIN, STEP, AITKEN, DISTANCE)]
    assert order == sorted(order)
    assert found[GAIN].gain_left > 100 * 1e-4
    assert found[STEP].distance > 200 * 1e-4
    assert found[AITKEN].gain_left == pytest.approx(1e-4, rel=0.02)
    assert found[AITKEN].distance > 40 * 1e-4
    assert found[DISTANCE].distance == pytest.approx(1e-4, rel=0.01)
    assert [row["kept"] for row in rows(race(NOTICES), 1e-4)] == ["no", "no", "yes", "yes"]
    assert marks(race(NOTICES), 1e-4) == [(rule, found[rule].iteration) for rule in RULES]


def test_a_rule_that_never_stops_says_so():
    found = stops(race(NOTICES), 1e-9)
    assert found[-1].iteration is None
    assert np.isnan(found[-1].distance)
    last = rows(race(NOTICES), 1e-9)[-1]
    assert (last["stops after"], last["kept"]) == ("never", "—")
    assert DISTANCE not in dict(marks(race(NOTICES), 1e-9))


@pytest.mark.parametrize(("name", "level"), [(LINKAGE, 0.5), (CENSORED, 0.9), (NOTICES, 0.5)])
def test_aitken_predicts_what_is_left(name, level):
    ran = race(name, level)
    seen = watch(ran)
    calm = np.flatnonzero((ran.em.error < 0.03) & (seen.true_left > 1e-6))  # linear, and above rounding
    np.testing.assert_allclose(seen.gain_left[calm], seen.true_left[calm], rtol=0.05)
    np.testing.assert_allclose(seen.predicted[calm], ran.log_likelihood, atol=0.05 * seen.true_left[calm].max())


def test_three_iterates_of_linkage():
    first = watch(race(LINKAGE))
    np.testing.assert_allclose(race(LINKAGE).em.numbers[:4, 0], [0.5, 0.608247, 0.624321, 0.626489], atol=1e-6)
    assert np.isnan(first.rate[:2]).all()
    np.testing.assert_allclose(first.rate[[2, 3, 8]], [0.148490, 0.134869, 0.132779], atol=1e-6)


def test_squarem_without_a_guard_falls():
    bare = bare_squarem(NOTICES)
    assert bare.falls >= 5
    assert (np.diff(bare.log_likelihood) < 0).sum() >= bare.falls
    assert bare_squarem(LINKAGE).falls == 0
    guarded = race(NOTICES).runs[SCHEMES.index("SQUAREM")]
    assert (np.diff(guarded.log_likelihood) >= -1e-8).all()


def test_an_unknown_example_is_refused():
    with pytest.raises(ValueError, match="there is no example 'apples'"):
        example("apples")


# ---- exercises, links, downloads


def test_exercises_know_their_answers_and_their_slips():
    for exercise in speed_class.exercises():
        assert exercise.mark(exercise.answer).kind == "success"
        for slip in exercise.slips:
            assert exercise.mark(slip.value).words == f"Not yet. {slip.hint}"
    iterates, small, rule, censored, guard = speed_class.exercises()
    assert iterates.answer == pytest.approx(0.134869, abs=1e-6)
    assert small.answer == pytest.approx(0.4353, abs=1e-4)
    assert rule.answer == RULES[DISTANCE]
    assert censored.answer == pytest.approx(0.3)
    assert guard.choices == sorted(speed_class.GUARD_ANSWERS)
    assert "99.57" in race(NOTICES).words


def test_links_and_presets_are_allowed():
    for preset in speed_class.PRESETS.values():
        read = links.read({name: str(value) for name, value in preset.items()}, speed_class.CONTROLS)
        assert all(read[name] == value for name, value in preset.items())
    assert speed_class.level(NORMALS, 0.3, 4.0) == 4.0
    assert speed_class.level(CENSORED, 0.3, 4.0) == 0.3
    assert speed_class.level(LINKAGE, 0.3, 4.0) == 0.5
    assert speed_class.tolerance(4) == 1e-4


def test_tables_are_written_for_the_page():
    made = markdown_table(rows(race(NOTICES), 1e-4)).splitlines()
    assert len(made) == 2 + len(RULES)
    assert made[1] == "|" + "---|" * 6
    assert made[0].startswith("| rule | stops after |")
    assert markdown_table([]) == ""
    assert markdown_table([{"a": "x|y"}]).endswith("| x\\|y |")


def test_a_run_downloads_with_every_number():
    lines = speed_class.path_csv(race(LINKAGE)).splitlines()
    assert lines[0].startswith('iteration,log_likelihood,"theta",gain,step,rate')
    assert len(lines) == len(race(LINKAGE).em.error) + 1
    assert float(lines[2].split(",")[2]) == pytest.approx(0.60824742, abs=1e-8)


# ---- charts


def test_ticks_are_written_as_powers_of_ten():
    svg = vl_convert.vegalite_to_svg(every_chart(NOTICES)["left"].to_dict())
    assert ">10⁻⁴<" in svg
    assert ">10⁻¹⁰<" in svg
    assert ">0.01<" in svg
    assert ">1e-" not in svg


def every_chart(name=NOTICES, level=0.5, tolerance=1e-4):
    ran = race(name, level)
    seen = watch(ran)
    lines = [curves.Line(run.scheme, run.evaluations, run.error) for run in ran.runs]
    stopped = [curves.Mark(*mark) for mark in marks(ran, tolerance)]
    return {
        "errors": curves.error_curves(lines, stopped, speed_class.said_at(ran), near=speed_class.near(ran)),
        "left": curves.predictions(seen.true_left, seen.gain, seen.gain_left),
        "rates": curves.rates(seen.rate, ran.em.error, ran.rate.from_information),
        "information": curves.information(ran.rate.fractions),
        "guard": curves.guard(speed_class.below(ran, bare_squarem(name, level))),
    }


@pytest.mark.parametrize("name", EXAMPLES.values())
def test_every_chart_is_valid_small_described_and_finite(name):
    for title, chart in every_chart(name).items():
        spec = chart.to_dict(validate=True)
        assert len(spec["description"]) > 40, title
        text = chart.to_json()
        assert len(text) < 150_000, title
        json.loads(text, parse_constant=lambda value, title=title: pytest.fail(f"{title} holds {value}"))
        assert chart.properties(width="container").to_dict(validate=True)["width"] == "container"


def test_charts_hold_the_numbers_of_the_run():
    ran, made = race(NOTICES), every_chart()
    tables = {title: chart.to_dict()["datasets"] for title, chart in made.items()}
    em = [row for row in tables["errors"]["lines"] if row["scheme"] == "EM"]
    assert len(em) == len(curves.kept(len(ran.em.error))) <= 240
    assert [row["error"] for row in em] == [ran.em.error[row["evaluations"] - 1] for row in em]
    assert [row["label"] for row in tables["errors"]["marks"]] == [GAIN, STEP, AITKEN, DISTANCE]
    assert tables["errors"]["frames"][0]["words"].startswith("iteration 0: weights[0] = 0.5,")
    missing = [row["share"] for row in tables["information"]["shares"] if row["part"] == "missing"]
    np.testing.assert_allclose(missing, np.clip(ran.rate.fractions[::-1], 0, 1), atol=1e-12)
    assert sum(row["fell"] for row in tables["guard"]["below"] if row["line"] == "without a guard") >= 5


def test_another_example_changes_data_alone():
    for title in ("errors", "left", "rates", "information", "guard"):
        one, other = (live_spec(every_chart(CENSORED, share)[title]) for share in (0.5, 0.9))
        if title != "errors":
            assert one.shell == other.shell, title
        assert one.tables.keys() == other.tables.keys()


def test_long_runs_keep_their_ends():
    assert curves.kept(5).tolist() == [0, 1, 2, 3, 4]
    shown = curves.kept(4001)
    assert (shown[0], shown[119], shown[-1]) == (0, 119, 4000)
    assert (np.diff(shown) > 0).all()
