"""The app on the number of components as a student uses it, with their own file, in a browser without a network."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.lesson import choose, slider

APP = "06_how_many.py"
EVIL = '<img src=x onerror="document.title=1">'


@pytest.fixture
def student(page, address):
    page.asked = []
    page.on("request", lambda request: page.asked.append(request.url))
    open_app(page, address)
    yield page
    assert page.errors == []
    assert page.refused == []


def open_app(page, address, charts=5):
    page.goto(address)
    expect(page.locator(".em-live[data-revision] svg.marks")).to_have_count(charts, timeout=60_000)


def said(page, words):
    """The charts say what they show, as screen readers hear it."""
    expect(page.locator(f'.em-live [aria-label*="{words}"]').first).to_be_attached(timeout=20_000)


def test_copies_change_bics_mind_in_place(student):
    said(student, "BIC chooses k = 2")
    said(student, "Held out, the best is -1.7")
    student.locator(".em-live svg.marks").first.evaluate("svg => { svg.mine = true; }")
    slider(student, "copies of every row").press("ArrowRight")
    said(student, "BIC chooses k = 4")
    assert student.locator(".em-live svg.marks").first.evaluate("svg => svg.mine === true"), "drawn anew"


def test_every_kind_of_control_changes_the_picture(student):
    choose(student, "components", "tied")
    said(student, "ICL chooses k = 4")
    slider(student, "k up to").press("Home")
    said(student, "BIC chooses k = 2")
    slider(student, "look at k").press("Home")
    said(student, "At the end the components hold 150.0 rows")
    choose(student, "data", "Carcinoma: seven pathologists")
    slider(student, "k up to").press("PageUp")
    said(student, "Latent classes over 7 items")
    slider(student, "prior strength").press("End")
    student.get_by_role("switch").click()
    expect(student.get_by_text("no rows are held out now")).to_be_visible(timeout=15_000)


def test_the_run_behind_a_candidate_is_there_to_step_through(student):
    slider(student, "look at k").press("ArrowRight")
    for tab, words in (
        ("How did EM get there?", "3 components; log-likelihood"),
        ("The bound", "log-likelihood"),
        ("KL on a log scale", "KL"),
        ("Where is it loose?", "gap"),
    ):
        student.get_by_role("tab", name=tab, exact=True).click()
        panel = student.get_by_role("tabpanel")
        expect(panel.locator(f".em-live [aria-label*='{words}']").first).to_be_attached(timeout=15_000)
    panel.get_by_role("slider", name="half-step").press("Home")
    expect(panel).to_contain_text("iteration 1, after the E-step")
    expect(student.get_by_text("largest |log p(x) − ELBO − KL|")).to_be_visible()


def test_prediction_exercises_and_the_bootstrap(student):
    student.get_by_role("radio", name="ICL").first.click()
    expect(student.get_by_text("You said: “ICL”")).to_be_visible(timeout=10_000)
    expect(student.get_by_text("759.8")).to_be_visible()
    student.get_by_role("button", name="Exercises").click()
    answer(student, "Which k does BIC choose now?", "5")
    expect(student.get_by_text("Not yet. That is the choice of AIC.")).to_be_visible(timeout=10_000)
    answer(student, "Which k does BIC choose now?", "2")
    expect(student.get_by_text("Right. k = 2 here.")).to_be_visible(timeout=10_000)
    student.get_by_role("radio", name=re.compile("largest responsibility")).click()
    expect(student.get_by_text("Right. At the same θ")).to_be_visible(timeout=10_000)
    student.get_by_label("samples", exact=True).select_option(label="9")
    student.get_by_role("button", name="Run the test").click()
    expect(student.get_by_text("Is k = 2 enough, or is 3 real?")).to_be_visible()
    expect(student.get_by_text("p = (1 + 0)/(1 + 9) = 0.100")).to_be_visible(timeout=30_000)
    said(student, "9 simulated likelihood ratios")


def answer(page, question, number):
    field = page.get_by_role("textbox", name=question)
    field.fill(number)
    field.press("Enter")


def rows(first_column):
    lines = [f'"{first_column}";a.b[0]\\;w;day;word']
    for i in range(40):
        x, y = (i * 7 % 11) / 5 + 6 * (i % 2), (i * 5 % 13) / 4 + 6 * (i % 2)
        numbers = f"{x:.2f};{y:.2f}".replace(".", ",")
        lines.append(f"{numbers};{1 + i % 3};2020-01-{1 + i % 28:02};abc")
    return "\n".join(lines).encode("utf-8-sig")


def test_a_file_of_ones_own_is_read_and_never_run(student):
    choose(student, "data", "My own CSV file")
    expect(student.get_by_text("Choose a CSV file above.")).to_be_visible(timeout=15_000)
    upload = student.locator("input[type=file]")
    upload.set_input_files({"name": "a.csv", "mimeType": "text/csv", "buffer": b"\x00\x01\x02PK"})
    expect(student.get_by_text("This is no text file")).to_be_visible(timeout=15_000)
    upload = student.locator("input[type=file]")
    holes = b"<b>x</b>.[y],b,w\n" + b"".join(
        b"%d,%s,2\n" % (i % 7 + 9 * (i % 2), b"" if i % 5 else b"%d" % (i % 4)) for i in range(30)
    )
    upload.set_input_files({"name": "a.csv", "mimeType": "text/csv", "buffer": holes})
    expect(student.locator(".em-live svg.marks").nth(3)).to_contain_text("<b>x</b>.[y]", timeout=15_000)
    said(student, "ICL chooses k = 2")
    upload = student.locator("input[type=file]")
    upload.set_input_files({"name": "a.csv", "mimeType": "text/csv", "buffer": rows(EVIL.replace('"', '""'))})
    expect(student.get_by_text("read as decimal commas")).to_be_visible(timeout=15_000)
    expect(student.get_by_text("dates: give them as numbers")).to_be_visible()
    said(student, "BIC chooses k = 6")
    expect(student.locator(".em-live svg.marks").nth(3)).to_contain_text(EVIL)
    student.get_by_label("weights", exact=True).select_option(label="w")
    expect(student.get_by_text("read as decimal commas")).to_be_visible()
    harmless(student)


def test_pasted_numbers_and_an_evil_name_in_a_sentence(student):
    choose(student, "data", "Numbers that I paste")
    box = student.locator("textarea")
    box.fill(f"{EVIL},b\n0,1\n0,2\n,3\n1,\n,4\n")
    box.blur()
    expect(student.get_by_text("columns to fit")).to_be_visible(timeout=15_000)
    student.get_by_label("weights", exact=True).select_option(label="b")
    expect(student.get_by_text("missing or negative cells")).to_be_visible(timeout=15_000)
    box.fill(f"{EVIL},w\n1,1\n1,2\n2,0\n1,3\n")
    box.blur()
    expect(student.get_by_role("option", name="w", exact=True)).to_be_attached(timeout=15_000)
    student.get_by_label("weights", exact=True).select_option(label="w")
    expect(student.get_by_text(f"The column “{EVIL}” holds one number only")).to_be_visible(timeout=15_000)
    harmless(student)


def harmless(page):
    """Nothing typed became an element or ran: no image was asked for, and the title is what it was."""
    assert not [url for url in page.asked if url.endswith("/x")]
    assert page.title() == "How many components, and is it true?"
    page.get_by_text("For the teacher").wait_for()


def test_it_fits_a_phone_and_a_link_restores_it(new_page, address):
    page = new_page(400, 800)
    open_app(page, f"{address}/?data=Old+Faithful&copies=2&largest=4&k=3&model=full&prior=nonsense")
    said(page, "BIC chooses k = 4")
    said(page, "ICL chooses k = 2")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert page.errors == []


def test_names_that_look_like_code_are_shown_as_text(student):
    choose(student, "data", "Numbers that I paste")
    box = student.locator("textarea")
    word = "`word` <i>$v$</i> **w** [a](b:c)"
    for pair in (("a.b[0]", 'datum["x"]'), ("**bold**", "$x$"), ("<b>y</b>", "````{{z}} ${1}")):
        quoted = ",".join('"' + name.replace('"', '""') + '"' for name in (*pair, word))
        box.fill(quoted + "".join(f"\n{i * 7 % 11 + 20 * (i % 2)},{i * 5 % 13 + 30 * (i % 2)},t" for i in range(40)))
        box.blur()
        for name in pair:
            expect(student.locator(".em-live svg.marks").nth(3)).to_contain_text(name, timeout=15_000)
        expect(student.get_by_text(word, exact=True).first).to_be_visible(timeout=15_000)
    student.get_by_role("button", name="The code that does this").click()
    expect(student.get_by_text("````{{z}} ${1}").last).to_be_visible(timeout=15_000)
    assert not student.locator("strong, b, i, em, a").filter(has_text=re.compile(r"^(bold|w|y|a|\$?v\$?)$")).count()
    assert not student.locator("marimo-tex, .katex").filter(has_text=re.compile("^[xv]$")).count()
