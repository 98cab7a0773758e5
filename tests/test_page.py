"""What the apps share on the page, made with marimo itself."""

import marimo as mo
import pytest

from emcore.classroom import links
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


def test_an_address_goes_before_the_command_line():
    assert Page(Standing()).query() == {"k": "5", "seed": 7}
