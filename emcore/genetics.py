"""Classic models of genetics as merged multinomials: phenotypes are observed, genotypes hidden.

>>> import numpy as np, emcore as em
>>> fit = em.fit(em.genetics.abo(), np.array([[186, 38, 13, 284]]), init={"probs": [0.3, 0.2, 0.5]})
>>> fit.params.probs.round(4)
array([0.2136, 0.0501, 0.7363])
"""

from emcore.models.merged_multinomial import MergedMultinomial


def linkage() -> MergedMultinomial:
    """Animals in four classes of probability (1/2 + θ/4, (1 - θ)/4, (1 - θ)/4, θ/4); parameter `theta` ().

    The first class hides a split into 1/2 and θ/4. Reference: Rao (1965), Linear Statistical Inference and Its
    Applications, section 5g; Dempster, Laird & Rubin (1977), J. R. Statist. Soc. B 39, section 1.
    """
    return MergedMultinomial({"theta": "t"}, ("1/2 + t/4", "(1 - t)/4", "(1 - t)/4", "t/4"))


def abo() -> MergedMultinomial:
    """Persons of blood group (A, B, AB, O); parameter `probs` (3,), the frequencies of the genes (A, B, O).

    A and B are codominant over O, and mating is random. Reference: Smith (1957), Ann. Hum. Genet. 21, 254-276;
    Lange (2002), Mathematical and Statistical Methods for Genetic Analysis, section 2.4.
    """
    return MergedMultinomial({"probs": "A B O"}, ("A*A + 2*A*O", "B*B + 2*B*O", "2*A*B", "O*O"))


def peppered_moth() -> MergedMultinomial:
    """Moths that look (carbonaria, insularia, typica); parameter `probs` (3,), the frequencies of the genes (C, I, T).

    C is dominant over I and T, and I over T; mating is random. Reference: Givens & Hoeting (2013), Computational
    Statistics, example 4.2.
    """
    return MergedMultinomial({"probs": "C I T"}, ("C*C + 2*C*I + 2*C*T", "I*I + 2*I*T", "T*T"))
