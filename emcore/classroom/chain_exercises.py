"""Exercises of the lesson on hidden Markov models; every number that they accept or hint at is computed."""

from typing import NamedTuple

import numpy as np

from emcore.classroom.exercises import Exercise, Slip
from emcore.classroom.paths import path_log_joint


class ByHand(NamedTuple):
    """A chain small enough for pencil and paper: two states, x = 0 or 1, one path."""

    start: tuple[float, ...]
    transitions: tuple[tuple[float, ...], ...]
    ones: tuple[float, ...]  # p(x = 1 | z)
    x: tuple[int, ...]
    path: tuple[int, ...]


BY_HAND = ByHand((0.6, 0.4), ((0.7, 0.3), (0.4, 0.6)), (0.1, 0.8), (1, 1, 0), (1, 1, 0))


class ChoiceExercise(NamedTuple):
    """An exercise answered by one of some sentences."""

    exercise: Exercise
    options: tuple[str, ...]


def joint_by_hand(
    *, start: bool = True, moves: bool = True, emissions: bool = True, transposed: bool = False, all_ones: bool = False
) -> float:
    """p(x, z) of the path in BY_HAND; the switches leave a factor out or take a wrong one, as slips do."""
    ones = np.array(BY_HAND.ones)
    x = np.ones(len(BY_HAND.x)) if all_ones else np.array(BY_HAND.x)
    table = np.where(x[:, None] == 1, ones, 1.0 - ones)  # (t, k)
    transitions = np.array(BY_HAND.transitions)
    log_joint = path_log_joint(
        np.array(BY_HAND.start) if start else np.ones(2),
        (transitions.T if transposed else transitions) if moves else np.ones((2, 2)),
        np.log(table if emissions else np.ones_like(table)),
        np.array([BY_HAND.path]),
    )
    return float(np.exp(log_joint[0]))


def _numbers() -> tuple[Exercise, ...]:
    joint = joint_by_hand()
    spread = 0.005 * joint
    return (
        Exercise(
            "Two states, five steps: how many paths z does p(x) = Σ p(x, z) add up?",
            2**5,
            "Two choices at each of five steps: 2⁵ = 32. At 107 steps there are 10³² of them: hence forward passes.",
            "Every step chooses among 2 states, whatever the other steps chose: multiply.",
            0.0,
            (
                Slip(2 * 5, "2 · 5 counts the cells of the lattice; a path chooses one cell in every column."),
                Slip(5**2, "The other way round: 2 choices, made 5 times."),
                Slip(2**4, "There are 4 moves, but the first state is chosen too."),
                Slip(2 * 2, "That is the number of possible moves between two steps."),
            ),
        ),
        Exercise(
            f"By hand: start {BY_HAND.start}; from state 0 to 0, 1: {BY_HAND.transitions[0]}; from 1: "
            f"{BY_HAND.transitions[1]}; p(x = 1) is {BY_HAND.ones[0]} in state 0 and {BY_HAND.ones[1]} in state 1. "
            f"What is p(x, z) for x = {BY_HAND.x} and the path z = {BY_HAND.path}?",
            joint,
            f"0.4·0.8 · 0.6·0.8 · 0.4·0.9 = {joint:.6f}: start and emission, then move and emission, twice.",
            "Start and emission at the first step, then a move and an emission at each of the other two: six factors.",
            spread,
            (
                Slip(joint_by_hand(start=False), "You forgot the start probability, 0.4."),
                Slip(joint_by_hand(start=False, moves=False), "Those are the emissions only: start and moves count."),
                Slip(joint_by_hand(emissions=False), "That is p(z), the chain alone: x must be emitted too."),
                Slip(joint_by_hand(transposed=True), "Rows are where a move comes from: 1 → 0 is 0.4."),
                Slip(joint_by_hand(all_ones=True), "The last x is 0: its probability in state 0 is 1 − 0.1."),
                Slip(float(np.log(joint)), "That is the logarithm; the question is for the probability."),
            ),
        ),
    )


def _choices() -> tuple[ChoiceExercise, ...]:
    names = "The names only: log p(x) is the same, and q swaps its columns."
    arrow = "log p(x) too, for moves have a direction."
    cells = "Nothing at all, not even a cell of the transition matrix."
    last, first, everywhere = "at the last step", "at the first step", "at every step, once EM has converged"
    return (
        ChoiceExercise(
            Exercise(
                "Swap the labels of the states everywhere: start, rows and columns of the moves, what they emit. "
                "What changes?",
                names,
                "Each path keeps its probability under its new name; so k states have k! equal optima.",
                "Follow one path through the swap: is any of its factors another number?",
                0.0,
                (
                    Slip(arrow, "The move 0 → 1 becomes 1 → 0, in its new place: every factor is still there."),
                    Slip(cells, "The cells change places: rows and columns are both reversed."),
                ),
            ),
            (arrow, names, cells),
        ),
        ChoiceExercise(
            Exercise(
                "Where must filtered and smoothed probabilities agree, whatever θ is?",
                last,
                "Smoothing adds what comes after; after the last step there is nothing.",
                "Ask what the smoothed probability knows that the filtered one does not.",
                0.0,
                (
                    Slip(first, "The filter has seen one x there, the smoother all: they differ most."),
                    Slip(everywhere, "Convergence is of θ; the future still tells about the past."),
                ),
            ),
            (first, last, everywhere),
        ),
    )


NUMBERS = _numbers()
CHOICES = _choices()
