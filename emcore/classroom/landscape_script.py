"""The code of the path that the lesson on where EM ends up draws on its map."""

from emcore.classroom import script as code
from emcore.classroom.landscape import COINS, MURRAY, climb

_COINS = ('x, weight = em.datasets.load("coin_tosses").select("heads"), None',)


def script(name: str, share: float, start: tuple[float, float]) -> str:
    """The code of `climb(name, share, start)`."""
    path = climb(name, share, start)
    first, second = path.places[0].tolist()
    if name == MURRAY:
        between = first * second
        data = ['x, weight = em.datasets.load("murray"), None', "model = em.MissingNormal()"]
        place = f'{{"mean": [0, 0], "covariance": [[{second}, {between}], [{between}, {second}]]}}'
    else:
        family, field = ("Binomial(10)", "probs") if name == COINS else ("Poisson()", "rates")
        weights = (share, 1.0 - share)
        data = [*(_COINS if name == COINS else code.DEATH_NOTICES)]
        data += [f"model = em.Mixture(em.{family}, 2, fixed_weights={weights})"]
        place = f'{{"weights": {weights}, "{field}": [[{first}], [{second}]]}}'
    return code.script(
        [*data, f"start = {place}"],
        [
            "run = em.steps(model, x, start, weight=weight)",
            f"for _ in range({len(path.places) - 1}):",
            "    e, m = next(run), next(run)  # an E-step and an M-step",
            '    print(f"{m.iteration}: log p(x) = {m.log_likelihood:.6f}")',
        ],
        [
            "print(m.params)",
            "point = em.stationary_point(model, m.params, x, weight=weight)",
            "print(point.kind, point.message)",
        ],
    )
