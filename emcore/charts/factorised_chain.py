"""A chain's posterior beside a Q that is independent from step to step: marginals, the climb of the ELBO, the gap."""

from collections.abc import Sequence

import numpy as np

from emcore.charts.grammar import Json, as_given, as_text, fitting, layer, quantitative, titled
from emcore.charts.limits import held_by, scale_of
from emcore.charts.picture import Picture
from emcore.charts.theme import BLACK, GAP, GREY, ORANGE


def factorised_marginals(
    posterior: np.ndarray,
    probs: np.ndarray,
    gap: np.ndarray,
    seen: Sequence[int],
    *,
    width: int | str = 520,
    height: int = 220,
) -> Picture:
    """p(z_s = 1 | x) (t,) in black and q_s(1) (u + 1, t) in purple, scrubbed over the updates of one q_s at a time.

    gap (u + 1,): KL(Q ‖ posterior) of whole paths, in nats. seen (t,): x, written under its step.
    """
    steps = len(posterior)
    bars = [
        {"update": update, "place": step + 0.17, "low": 0.0, "share": float(share)}
        for update, row in enumerate(probs)
        for step, share in enumerate(row)
    ]
    exact = [{"place": step - 0.17, "low": 0.0, "share": float(share)} for step, share in enumerate(posterior)]
    words = [{"update": update, "words": _words(update, steps, value)} for update, value in enumerate(gap.tolist())]
    named = f"{list(map(int, seen))}"
    axis = {"values": list(range(steps)), "grid": False, "labelExpr": f"'x = ' + {named}[datum.value]"}
    scale = {"domain": [-0.6, steps - 0.4], "nice": False}
    bar = {
        "x": quantitative("place", "x at steps 0, 1, 2, …", scale=scale, axis=axis | {"labelOverlap": False}),
        "y": quantitative("share", "probability that z = 1", scale={"domain": [0, 1]}, axis={"tickCount": 5}),
        "y2": {"field": "low"},
        "tooltip": quantitative("share", "probability", format=".3f"),
    }
    here: Json = {"align": "left", "baseline": "middle", "x": 0, "y": -14, "tooltip": None}
    layers = [
        layer("rule", bar, data="exact", strokeWidth=12, color=BLACK),
        layer("rule", bar, _now(), data="bars", strokeWidth=12, color=GAP),
        layer("text", {"text": as_text("words")}, _now(), data="words", **here, fontSize=fitting(width, 320)),
    ]
    ends = ", ".join(f"{p:.2f} and {q:.2f}" for p, q in zip(posterior, probs[-1], strict=True))
    said = f"Posterior and last Q that z = 1, step by step: {ends}. The gap ends at {gap[-1]:.3g} nats."
    spec = _spec(width, height, layers, said, "Posterior black, independent Q purple")
    return Picture(spec | {"params": [_scrubber(len(probs))]}, {"bars": bars, "exact": exact, "words": words})


def factorised_climb(
    elbo: np.ndarray, log_likelihood: float, n_steps: int, *, width: int | str = 420, height: int = 110
) -> Picture:
    """The ELBO after each update (u + 1,) under log p(x), with the gap at the scrubbed update as a purple bar."""
    rows = [
        {"update": update, "sweep": update / n_steps, "elbo": value, "level": log_likelihood}
        for update, value in enumerate(elbo.tolist())
    ]
    span = max(log_likelihood - float(elbo[0]), 0.1)
    limits = [{"low": float(elbo[0]) - 0.1 * span, "high": log_likelihood + 0.15 * span}]
    domain = {"domain": [0, (len(elbo) - 1) / n_steps], "nice": False}
    across = quantitative("sweep", "sweeps over the chain", scale=domain, axis={"grid": False, "tickCount": 6})
    up = quantitative("elbo", "ELBO, nats", scale=scale_of("limits"), axis={"tickCount": 4})
    at = {"x": across, "y": up}
    level = at | {"y": up | {"field": "level"}}
    layers = [
        *held_by("limits"),
        layer("line", level, data="climb", color=BLACK, strokeWidth=2.5, tooltip=None),
        layer("line", at, data="climb", color=GREY, strokeWidth=2, strokeDash=[7, 4], tooltip=None),
        layer("rule", level | {"y2": {"field": "elbo"}}, _now(), data="climb", color=GAP, strokeWidth=6, tooltip=None),
        layer("point", at, _now(), data="climb", color=ORANGE, filled=True, size=150, opacity=1, tooltip=None),
    ]
    said = f"The ELBO climbs from {elbo[0]:.4g} to {elbo[-1]:.4g}; log p(x) is {log_likelihood:.4g}."
    spec = _spec(width, height, layers, said, "ELBO dashed, log p(x) solid")
    return Picture(spec | {"params": [_scrubber(len(elbo))]}, {"climb": rows, "limits": limits})


def gap_by_coupling(
    curve: Sequence[tuple[float, float]], here: float, *, width: int | str = 420, height: int = 110
) -> Picture:
    """The gap that is left (nats) over the probability of staying, and where the chain shown is."""
    rows = [{"stay": stay, "gap": gap, "colour": GAP} for stay, gap in curve]
    now = min(rows, key=lambda row: abs(float(str(row["stay"])) - here))
    domain = {"domain": [curve[0][0], curve[-1][0]], "nice": False}
    at = {
        "x": quantitative("stay", "probability that z stays", scale=domain, axis={"grid": False, "tickCount": 6}),
        "y": quantitative("gap", "gap at the end, nats", scale={"zero": True}, axis={"tickCount": 4}),
    }
    layers = [
        layer("line", at, data="gaps", color=GAP, strokeWidth=3, tooltip=None),
        layer("point", at | {"color": as_given("colour")}, data="here", filled=True, size=150, opacity=1, tooltip=None),
    ]
    said = f"The gap of an independent Q is {now['gap']:.3g} nats where z stays with probability {here:.2f}."
    return Picture(_spec(width, height, layers, said, "What independence costs"), {"gaps": rows, "here": [now]})


def _now() -> Json:
    """Keeps the rows of the scrubbed update."""
    return {"filter": "datum.update == update"}


def _words(update: int, steps: int, gap: float) -> str:
    if update == 0:
        return f"at first, each step by its own x: gap {gap:.3f} nats"
    sweep, step = divmod(update - 1, steps)
    return f"sweep {sweep + 1}, step {step} set to its best: gap {gap:.3f} nats"


def _spec(width: int | str, height: int, layers: list[Json], said: str, title: str) -> Json:
    return {"width": width, "height": height, "layer": layers, "description": said} | titled(title)


def _scrubber(count: int) -> Json:
    bind = {"input": "range", "min": 0, "max": count - 1, "step": 1, "name": "update "}
    return {"name": "update", "value": count - 1, "bind": bind}
