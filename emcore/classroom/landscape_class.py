"""What the lesson "Where does EM end up?" asks of a class: its controls, where to start from, and its exercises."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from emcore.classroom import links
from emcore.classroom.exercises import Exercise, Slip, Verdict
from emcore.classroom.landscape import COINS, MAPS, STARTS, climb, terrain
from emcore.classroom.optima import ManySettings, ends
from emcore.classroom.shared import shared
from emcore.classroom.traps import PINNED, annealed, escape, spike

TABS = NUDGE, SPIKE, NAMES, ANNEALING = ("A saddle and a nudge", "A spike", "Two names, one fit", "Annealing")
SADDLES: Mapping[str, str] = MappingProxyType({"Two coins": COINS, "Murray's normal": "murray"})
MANY: Mapping[str, tuple[str, int]] = MappingProxyType(
    {"Iris, k = 3": ("iris", 3), "Galaxies, k = 4": ("galaxies", 4), "Galaxies, k = 3": ("galaxies", 3)}
)
CONTROLS: Mapping[str, links.Control] = MappingProxyType(
    {
        "map": links.Choice(tuple(MAPS)),
        "share": links.Choice((0.2, 0.3, 0.36, 0.4, 0.45, 0.5), 0.5),
        "start": links.Choice(STARTS),
        "basins": links.Flag(),
        "place": links.Points(),
        "data": links.Choice(tuple(MANY)),
        "prior": links.Choice((0, 0.0001, 0.001, 0.01, 0.1, 1)),
        "starts": links.Choice((60, 20, 120)),
        "seed": links.Number(0, 0, 9999),
        "saddle": links.Choice(tuple(SADDLES)),
        "nudge": links.Choice((0.0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2), 1e-4),
        "galaxy": links.Choice(PINNED),
        "width": links.Choice((0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0), 0.3),
        "names": links.Choice((2, 3)),
        "beta": links.Choice((0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0), 0.8),
    }
)
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "Two coins, started equal": {"start": "equal"},
        "Every start of the coins": {"basins": 1},
        "A lower summit: unequal shares": {
            "map": "Death notices: two Poisson rates",
            "share": 0.36,
            "start": "the other way round",
        },
        "Murray's saddle": {"map": "Murray's normal: ρ and σ²", "start": "equal"},
        "A small prior hides the collapse": {"prior": 0.001},
    }
)


PLAN = (
    "In fifty minutes: predict the equal coins, then set the start to “equal”; show where every start ends; nudge off "
    "the saddle; vote on which iris fit to publish, then look at how each ended; set the prior to 0.001 and ask again; "
    "shrink a component onto a galaxy; find a β."
)


def first_place(linked: Mapping[str, Any], title: str, share: float, start: str, put_back: int) -> tuple[float, float]:
    """Where the start stands: as the link says while its map and start are shown, unless it was put back."""
    as_linked = (title, share, start) == (linked["map"], linked["share"], linked["start"])
    if as_linked and not put_back and len(linked["place"]) == 1:
        return linked["place"][0]
    return terrain(MAPS[title], share).starts[STARTS.index(start)]


def many_settings(values: Mapping[str, Any]) -> ManySettings:
    """The settings of many starts from the values of their controls, as the link or the form has them."""
    dataset, k = MANY[values["data"]]
    return ManySettings(dataset, k, float(values["prior"]), int(values["starts"]), int(values["seed"] or 0))


def many_as_link(settings: ManySettings) -> dict[str, Any]:
    """The values of those controls that restore the settings."""
    title = next(name for name, which in MANY.items() if which == (settings.dataset, settings.n_components))
    prior = next(s for s in CONTROLS["prior"].options if s == settings.prior_strength)  # type: ignore[union-attr]
    return {"data": title, "prior": prior, "starts": settings.restarts, "seed": settings.seed}


def equal_coins_in_words() -> str:
    """What happens to two coins that start equal, and the proof that it is a saddle."""
    path, apart = climb(COINS, 0.5, (0.5, 0.5)), climb(COINS, 0.5, (0.85, 0.3))
    down, up = path.eigenvalues
    return (
        f"EM takes both coins to {path.places[-1][0]:.2f} and leaves them there for ever. It is a **saddle**: the "
        f"Hessian has the eigenvalues {down:.1f} and **{up:+.1f}**, and log p(x) = {path.log_likelihood[-1]:.4f}, "
        f"where coins that start apart reach {apart.log_likelihood[-1]:.4f}. Now set the start to “equal” and see."
    )


@shared(1)
def exercises() -> tuple[Exercise, ...]:
    """The exercises, each with the answer that the package computes."""
    return (_equal_coins(), _publish(), _orders(), _nudge(), _decade())


def _equal_coins() -> Exercise:
    path = climb(COINS, 0.5, (0.5, 0.5))
    apart = climb(COINS, 0.5, (0.85, 0.3)).places[-1]
    return Exercise(
        "Both coins start at 0.5, with equal shares. To which chance of heads does EM take them?",
        float(path.places[-1][0]),
        "Equal coins get equal responsibilities, ½ each, so both move to the share of heads in all tosses, 33/50, in "
        "one step, and nothing ever parts them: a saddle.",
        "Ask what the responsibilities are when both coins are the same, and what the M-step does with them.",
        0.005,
        (
            Slip(0.5, "That is the start: the first M-step moves both coins."),
            *(Slip(float(place), "That is where coins end that start apart.") for place in apart),
        ),
    )


def _publish() -> Exercise:
    found = ends(ManySettings()).found
    assert found is not None, "these settings allow a run"
    broken = max((optimum for optimum in found if not optimum.sound), key=lambda optimum: optimum.objective)
    return Exercise(
        "Sixty starts on iris (k = 3, no prior) reached, among others, these log-likelihoods. Which do you publish?",
        f"{found[0].objective:.2f}",
        "The highest sound summit. The higher value belongs to a component that has collapsed: it tells of a few rows "
        "that lie in a plane, and of no maximum (Day 1969).",
        "Look at how each of these runs ended, and how often.",
        slips=(
            Slip(
                f"{broken.objective:.2f}",
                "That is the highest, and it is broken: the component goes on shrinking, and its likelihood rising.",
            ),
            Slip(f"{found[1].objective:.2f}", "A sound maximum, but a lower one: a higher is reached more often."),
        ),
    )


def _orders() -> Exercise:
    return Exercise(
        "How many equally high summits does the likelihood of a mixture of 4 components have, at least?",
        24,
        "4! = 24: every order of the names is the same fit. So compare fits after matching, and never average them.",
        "Rename the components: each renaming is another point with the same likelihood.",
        0.1,
        (
            Slip(4, "Not only which comes first counts, but the order of all."),
            Slip(16, "Each name is used once: 4 · 3 · 2 · 1."),
            Slip(1, "Rename the components: is that the same point?"),
        ),
    )


def _nudge() -> Exercise:
    six, five, four = (escape(COINS, nudge).steps or 0 for nudge in (1e-6, 1e-5, 1e-4))
    return Exercise(
        f"Off the coins' saddle by 10⁻⁶ it takes {six} iterations to come apart, by 10⁻⁴ {four}. How many by 10⁻⁵?",
        float(five),
        "Each iteration multiplies the distance by the same factor, so a tenth of the nudge costs the same few "
        "iterations more: halfway between.",
        "Near the saddle the distance grows by a constant factor: on a log axis the lines are straight and parallel.",
        1.0,
        (Slip(2.0 * four, "Not in proportion to the nudge, but to its logarithm."),),
    )


def _decade() -> Exercise:
    gain = spike(PINNED[0], 0.3).per_decade
    return Exercise(
        "A component sits on one galaxy. By how many nats does log p(x) rise when its standard deviation is divided by "
        "10, once it is small?",
        gain,
        "The density at its centre is proportional to 1/σ, so log p(x) gains log 10 = 2.303, again and again.",
        "What happens to the height of a normal density at its centre when σ is divided by 10?",
        0.01,
        (
            Slip(1.0, "Nats are natural logarithms: log 10 is not 1."),
            Slip(2 * gain, "That is for the variance; the density goes with 1/σ."),
            Slip(gain / 2, "The density goes with 1/σ, not with its root."),
        ),
    )


BETA_QUESTION = "Annealing: name a first β from which all four runs reach the top."


def mark_beta(beta: float | None) -> Verdict:
    """Whether annealing from that β takes every run to the top; if not, whether it is too hot or too cold."""
    if beta is None:
        return Verdict("neutral", "")
    seen = annealed(beta)
    if seen.reached == len(seen.runs):
        return Verdict("success", "Right. Nothing promises it, though: annealing only makes the start matter less.")
    if seen.reached:
        hint = "Too hot: all components melt into one, and chance decides how they part."
        return Verdict("warn", f"Not yet: {seen.reached} of {len(seen.runs)}. {hint}")
    return Verdict("warn", "Not yet: none. Too cold: the components stay in the valley where they started.")
