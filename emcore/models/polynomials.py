"""Cell probabilities written as formulas: "A*A + 2*A*O" becomes monomials in named probabilities.

A formula is a sum of products of numbers, named probabilities and, for a probability that stands alone, its
complement (1 - t). Read with Python's own grammar; nothing is executed.
"""

import ast
from collections.abc import Iterable
from operator import truediv

Exponents = tuple[int, ...]
Polynomial = dict[Exponents, float]


def monomials(formula: str, symbols: tuple[str, ...]) -> Polynomial:
    """Coefficient of every monomial, keyed by its exponents over `symbols`.

    A complement is a symbol of its own, spelt "1 - t". Raises ValueError for what is no such formula.
    """
    try:
        tree = ast.parse(formula.strip(), mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"the formula {formula!r} cannot be read: {error.msg}") from None
    terms = _expand(tree, symbols, formula)
    if not terms or min(terms.values()) <= 0:
        raise ValueError(f"the formula {formula!r} has a term that is not positive: every term must be a probability")
    return terms


def _expand(node: ast.expr, symbols: tuple[str, ...], formula: str) -> Polynomial:
    one = (0,) * len(symbols)
    match node:
        case ast.Constant(value=int() | float() as number):
            return {one: float(number)}
        case ast.Name(id=name) if name in symbols:
            return {_unit(name, symbols): 1.0}
        case ast.BinOp(left=ast.Constant(value=1), op=ast.Sub(), right=ast.Name(id=name)) if f"1 - {name}" in symbols:
            return {_unit(f"1 - {name}", symbols): 1.0}
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _add([*_expand(left, symbols, formula).items(), *_expand(right, symbols, formula).items()])
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return _multiply(_expand(left, symbols, formula), _expand(right, symbols, formula))
        case ast.BinOp(left=left, op=ast.Div(), right=ast.Constant(value=int() | float() as divisor)) if divisor:
            return {powers: truediv(c, divisor) for powers, c in _expand(left, symbols, formula).items()}
        case ast.BinOp(left=base, op=ast.Pow(), right=ast.Constant(value=int() as power)) if power >= 1:
            factor = _expand(base, symbols, formula)
            product = factor
            for _ in range(power - 1):
                product = _multiply(product, factor)
            return product
    known = ", ".join(symbols)
    raise ValueError(
        f"the formula {formula!r} holds {ast.unparse(node)!r}, which is none of: a number, one of {known}, "
        "a sum, a product, a division by a number, a whole power"
    )


def _unit(name: str, symbols: tuple[str, ...]) -> Exponents:
    return tuple(int(name == symbol) for symbol in symbols)


def _add(terms: Iterable[tuple[Exponents, float]]) -> Polynomial:
    total: Polynomial = {}
    for powers, coefficient in terms:
        total[powers] = total.get(powers, 0.0) + coefficient
    return total


def _multiply(a: Polynomial, b: Polynomial) -> Polynomial:
    return _add((tuple(map(sum, zip(p, q))), u * v) for p, u in a.items() for q, v in b.items())
