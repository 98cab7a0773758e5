"""Few runs that try every pair of values: a covering array of strength two, built greedily.

Reference: Cohen, Dalal, Fredman & Patton (1997), IEEE Trans. Software Engineering 23, 437-444.
"""

from collections.abc import Collection, Mapping
from itertools import combinations, product

Setting = tuple[str, int]  # a factor, and the number of one of its values


def covering(sizes: Mapping[str, int], apart: Collection[frozenset[str]] = ()) -> list[dict[str, int]]:
    """Rows {factor: value}, so that any two values of two factors meet in a row, and every value is in one.

    sizes: how many values each factor has, ≥ 1. apart: pairs of factors that may not meet in a row. A factor is in a
    row only where it adds to what is covered.
    """
    factors = sorted(sizes, key=lambda name: (-sizes[name], name))
    left = dict.fromkeys(_pairs(factors, sizes, apart))
    rows = []
    while left:
        row = dict(sorted(next(iter(left))))
        for name in factors:
            if name not in row and not any(frozenset((name, other)) in apart for other in row):
                news = [sum(_pair((name, v), other) in left for other in row.items()) for v in range(sizes[name])]
                if max(news):
                    row[name] = news.index(max(news))
        for pair in combinations(row.items(), 2):
            left.pop(_pair(*pair), None)
        rows.append(row)
    seen = {setting for row in rows for setting in row.items()}
    return rows + [{name: v} for name in factors for v in range(sizes[name]) if (name, v) not in seen]


def _pairs(factors: list[str], sizes: Mapping[str, int], apart: Collection[frozenset[str]]) -> list[frozenset]:
    return [
        _pair((a, i), (b, j))
        for a, b in combinations(factors, 2)
        if frozenset((a, b)) not in apart
        for i, j in product(range(sizes[a]), range(sizes[b]))
    ]


def _pair(one: Setting, other: Setting) -> frozenset[Setting]:
    return frozenset((one, other))
