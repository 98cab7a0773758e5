"""What the apps share on the page, made with marimo itself."""

import marimo as mo
import pytest

from emcore.classroom import links
from emcore.classroom.exercises import Exercise
from emcore.classroom.page import Page

PAGE = Page(mo)


@pytest.mark.parametrize(
    ("of", "value", "kind"),
    [
        (links.Number(3, 1, 8), 4, mo.ui.slider),
        (links.Choice((0, 0.1, 30)), 30, mo.ui.slider),
        (links.Choice(("full", "tied")), "tied", mo.ui.dropdown),
        (links.Flag(), True, mo.ui.switch),
    ],
)
def test_a_control_becomes_a_field_that_holds_its_value(of, value, kind):
    field = PAGE.control(of, value, "label")
    assert isinstance(field, kind)
    assert field.value == value


def test_a_slider_reaches_from_end_to_end_and_may_wait_for_release():
    field = PAGE.control(links.Number(3, 1, 8), 4, "k", debounce=True)
    assert (field.start, field.stop) == (1, 8)
    assert "data-debounce='true'" in field.text
    assert PAGE.control(links.Choice((0, 0.1, 30)), 0, "prior").steps == [0, 0.1, 30]


def test_a_choice_of_numbers_may_be_a_list_with_nothing_chosen():
    of = links.Choice((0, 1e-4, 25.633))
    field = PAGE.chosen(of, 1e-4, "prior")
    assert isinstance(field, mo.ui.dropdown)
    assert field.value == 1e-4
    assert list(field.options) == ["0", "0.0001", "25.633"]
    assert PAGE.chosen(of, None, "prior").value is None


def test_what_is_folded_away_is_not_made():
    def make():
        raise AssertionError("nobody opened it")

    assert "marimo-lazy" in PAGE.folded("Under a title", make).text


class Standing:
    """marimo as it is while a page is exported."""

    ui, accordion, download = mo.ui, staticmethod(mo.accordion), staticmethod(mo.download)
    md, callout = staticmethod(mo.md), staticmethod(mo.callout)

    @staticmethod
    def app_meta():
        return type("Meta", (), {"mode": "edit"})

    @staticmethod
    def cli_args():
        return type("Args", (), {"to_dict": staticmethod(lambda: {"k": 2, "seed": 7})})

    @staticmethod
    def query_params():
        return type("Query", (), {"to_dict": staticmethod(lambda: {"k": "5"})})


def test_an_exported_page_holds_what_a_live_one_would_ask_for():
    page = Page(Standing())
    assert "marimo-lazy" not in page.folded("Under a title", lambda: mo.md("at once")).text
    assert "at once" in page.folded("Under a title", lambda: mo.md("at once")).text
    tabs = page.tabs({"a": mo.md("A"), "b": mo.md("B")})
    assert page.opened(tabs) == ("a", "b"), "all are drawn"
    assert PAGE.opened(PAGE.tabs({"a": mo.md("A"), "b": mo.md("B")})) == ("a",)
    assert "data-lazy='false'" in page.csv(lambda: "x,y\n1,2\n", "t.csv", "table").text


class Radio:
    """A prediction, made or not."""

    def __init__(self, value):
        self.value = value


def test_an_answer_is_told_once_the_prediction_is_made_and_folded_where_none_can_be():
    def tell():
        return "because **so**"

    assert PAGE.answer(Radio(None), tell) is None
    assert "You said: “yes” because" in PAGE.answer(Radio("yes"), tell).text
    assert PAGE.answer(Radio("yes"), tell, ready=False) is None
    assert "You said" not in PAGE.answer(Radio(None), tell, ready=True).text
    assert "picture" in PAGE.answer(Radio("yes"), lambda: mo.Html("<b>picture</b>")).text
    folded = Page(Standing()).answer(Radio(None), tell).text
    assert "marimo-accordion" in folded
    assert "The answer" in folded
    assert "because" in folded


def test_an_exercise_shows_its_answer_where_none_can_be_given():
    asked = Exercise("1 + 1?", 2.0, "Count on.", "Use fingers.")
    assert PAGE.mark(asked, 3.0).words == "Not yet. Use fingers."
    assert Page(Standing()).mark(asked, None).words == "2. Count on."
    assert Exercise("", 2.0, "1 + 1 = 2, and no more.", "").solved().words == "1 + 1 = 2, and no more."
    assert Exercise("", 2.0, "It is below 2.5.", "").solved().words == "2. It is below 2.5."
    assert Exercise("", "all of it.", "It sums to 1.", "").solved().words == "all of it. It sums to 1."
    (folded,) = Page(Standing()).said(asked.solved())
    assert "The answer" in folded.text
    assert PAGE.said(asked.mark(None)) == []


def test_an_address_goes_before_the_command_line():
    assert Page(Standing()).query() == {"k": "5", "seed": 7}
