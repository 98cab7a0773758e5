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


def test_what_is_folded_away_is_not_made():
    def make():
        raise AssertionError("nobody opened it")

    assert "marimo-lazy" in PAGE.folded("Under a title", make).text
