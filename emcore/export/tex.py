"""The little TeX that the words use, as MathML: browsers draw that by themselves."""

import re
from collections.abc import Iterator
from html import escape
from types import MappingProxyType

_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|[0-9.]+|\S")


def _pairs(text: str) -> MappingProxyType[str, str]:
    words = text.split()
    return MappingProxyType(dict(zip(words[::2], words[1::2], strict=True)))


_SIGNS = _pairs(
    "alpha α beta β gamma γ delta δ epsilon ϵ varepsilon ε theta θ kappa κ lambda λ mu μ nu ν pi π rho ρ sigma σ tau τ "
    "phi φ chi χ psi ψ omega ω Theta Θ Lambda Λ Sigma Σ Phi Φ Psi Ψ Omega Ω Gamma Γ Delta Δ infty ∞ partial ∂ ell ℓ"
)
_OPERATORS = _pairs(
    "mid | sum ∑ prod ∏ int ∫ ge ≥ geq ≥ le ≤ leq ≤ ne ≠ neq ≠ approx ≈ sim ∼ to → rightarrow → in ∈ cdot · times × "
    "dots … ldots … cdots ⋯ pm ± propto ∝ | ‖ { { } } _ _ % %"
)
_SPACES = MappingProxyType({",": "0.17em", ":": "0.22em", ";": "0.28em", " ": "0.3em", "quad": "1em", "!": "-0.17em"})
_TEXTS = frozenset({"text", "mathrm", "operatorname", "textrm", "mathit"})
_BOARD = MappingProxyType({"E": "𝔼", "R": "ℝ", "N": "ℕ", "P": "ℙ", "Z": "ℤ"})


def mathml(tex: str, display: bool = False) -> str:
    r"""A formula as a `<math>` element; a command that is not known is shown by its name.

    >>> mathml(r"z_s \ge 0")
    '<math><msub><mi>z</mi><mi>s</mi></msub><mo>≥</mo><mn>0</mn></math>'
    """
    way = ' display="block"' if display else ""
    return f"<math{way}>{''.join(_scripted(_atoms(_Tokens(tex))))}</math>"


class _Tokens:
    """The formula's tokens, read from the left; spaces count in texts alone."""

    def __init__(self, tex: str) -> None:
        self.tex, self.at = tex, 0

    def next(self) -> str:
        found = _TOKEN.match(self.tex, self._skip(self.at))
        if found is None:
            return ""
        self.at = found.end()
        return found[0]

    def _skip(self, at: int) -> int:
        while at < len(self.tex) and self.tex[at].isspace():
            at += 1
        return at

    def verbatim(self) -> str:
        """The text in the braces that follow."""
        start = self._skip(self.at)
        if self.tex[start : start + 1] != "{":
            return self.next()
        end = self.tex.find("}", start)
        end = len(self.tex) if end < 0 else end
        self.at = end + 1
        return self.tex[start + 1 : end]


def _atoms(tokens: _Tokens) -> Iterator[str]:
    while (token := tokens.next()) not in ("", "}"):
        yield _atom(token, tokens)


def _argument(tokens: _Tokens) -> str:
    return _atom(tokens.next() or " ", tokens)


def _atom(token: str, tokens: _Tokens) -> str:
    if token in ("^", "_"):
        return token
    if token == "{":
        return f"<mrow>{''.join(_scripted(_atoms(tokens)))}</mrow>"
    if token.startswith("\\"):
        return _command(token[1:], tokens)
    if token[0].isdigit():
        return f"<mn>{token}</mn>"
    if token.isalpha():
        return f"<mi>{escape(token)}</mi>"
    return f'<mo stretchy="false">{escape(token)}</mo>' if token in "()[]|" else f"<mo>{escape(token)}</mo>"


def _command(name: str, tokens: _Tokens) -> str:
    if name in _TEXTS:
        return f"<mtext>{escape(tokens.verbatim())}</mtext>"
    if name == "mathbb":
        letter = tokens.verbatim()
        return f"<mi>{escape(_BOARD.get(letter, letter))}</mi>"
    if name == "frac":
        return f"<mfrac>{_argument(tokens)}{_argument(tokens)}</mfrac>"
    if name == "sqrt":
        return f"<msqrt>{_argument(tokens)}</msqrt>"
    if name in ("hat", "bar", "tilde"):
        over = {"hat": "^", "bar": "¯", "tilde": "~"}[name]
        return f"<mover>{_argument(tokens)}<mo>{over}</mo></mover>"
    if name in ("left", "right", "big", "Big"):
        return ""
    if name in _SPACES:
        return f'<mspace width="{_SPACES[name]}"/>'
    if name in _OPERATORS:
        return f"<mo>{escape(_OPERATORS[name])}</mo>"
    return f"<mi>{escape(_SIGNS.get(name, name))}</mi>"


def _scripted(atoms: Iterator[str]) -> Iterator[str]:
    """Bases with their sub- and superscripts."""
    parts = [atom for atom in atoms if atom]
    at = 0
    while at < len(parts):
        base, scripts = parts[at], {}
        at += 1
        while at + 1 < len(parts) and parts[at] in ("^", "_"):
            scripts[parts[at]] = parts[at + 1]
            at += 2
        kind = {"_": "msub", "^": "msup", "_^": "msubsup"}.get("".join(sorted(scripts, reverse=True)), "")
        inside = base + "".join(scripts[sign] for sign in ("_", "^") if sign in scripts)
        yield f"<{kind}>{inside}</{kind}>" if kind else base
