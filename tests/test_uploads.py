"""A student's own table: what is read, what is refused in words, and that nothing is ever raised."""

import csv
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emcore import uploads
from emcore.uploads import Table, read_table

EVIL = '<img src=x onerror="alert(1)">'


def read(data: str | bytes) -> Table:
    table = read_table(data.encode() if isinstance(data, str) else data)
    assert isinstance(table, Table), table
    return table


def refused(data: str | bytes) -> str:
    words = read_table(data.encode() if isinstance(data, str) else data)
    assert isinstance(words, str)
    assert words.endswith((".", ")."))
    return words


def numbers(table: Table) -> list[list[float] | None]:
    return [None if column.values is None else column.values.tolist() for column in table.columns]


def names(table: Table) -> list[str]:
    return [column.name for column in table.columns]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_separators_and_line_ends(separator, end):
    table = read(end.join(separator.join(row) for row in (["a", "b"], ["1", "2.5"], ["-3", "4e1"])))
    assert names(table) == ["a", "b"]
    assert numbers(table) == [[1, -3], [2.5, 40]]
    assert table.n_rows == 2
    assert table.usable == (0, 1)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16"])
def test_encodings(encoding):
    table = read("Größe;b\n1;2\n3;4\n".encode(encoding))
    assert names(table) == ["Größe", "b"]
    assert any("Latin-1" in note for note in table.notes) == (encoding in ("latin-1", "cp1252"))


def test_bytes_that_only_latin_1_knows():
    assert names(read(b"a\x81\xe9,b\n1,2\n2,3\n")) == ["a é", "b"], "a control character is shown as a space"


@pytest.mark.parametrize("separator", [";", "\t"])
def test_decimal_commas(separator):
    table = read(separator.join(["a", "b"]) + "\n" + "\n".join([f"1,5{separator}2", f"-,25{separator}3"]))
    assert numbers(table) == [[1.5, -0.25], [2, 3]]
    assert "Commas inside numbers were read as decimal commas." in table.notes


def test_one_column_of_decimal_commas_is_two_columns():
    """It cannot be told apart, and the note says what was taken to separate the cells."""
    table = read("1,5\n2,25\n")
    assert numbers(table) == [[1, 2], [5, 25]]
    assert "Cells are separated by commas." in table.notes


def test_thousands_are_read_where_only_one_reading_is_left():
    assert numbers(read("a;b\n1.000,5;2\n2,5;3")) == [[1000.5, 2.5], [2, 3]]
    assert numbers(read("a;b\n1.000;2,5\n2.000;3,5")) == [[1000, 2000], [2.5, 3.5]], "as the other column writes"
    assert numbers(read('a,b\n"1,000.5",2\n"2,000",3')) == [[1000.5, 2000], [2, 3]]
    assert "decimal points and decimal commas" in read("a;b\n1.5;2\n2,5;3").columns[0].trouble


def test_quoted_cells_hold_separators_quotes_and_line_breaks():
    table = read('"a, or ""b""\nand c",d\n"1",2\n3,"4"\n')
    assert names(table) == ['a, or "b" and c', "d"]
    assert numbers(table) == [[1, 3], [2, 4]]
    assert "1 of 2 cells" in read('a,b\n"1\n2",3\n4,5').columns[0].trouble


@pytest.mark.parametrize("cell", ["", " ", "NA", "n/a", "NaN", "null", "None", "?", "-", "--", "."])
def test_missing_cells_are_nan(cell):
    column = read(f"a,b\n1,2\n{cell},3\n4,4").columns[0]
    np.testing.assert_array_equal(column.values, [1, np.nan, 4])
    assert column.n_missing == 1


def test_short_rows_end_in_missing_cells_and_blank_rows_are_none():
    table = read("a,b\n1,2\n\n3\n , \n5,6\n")
    np.testing.assert_array_equal(table.columns[1].values, [2, np.nan, 6])
    assert table.n_rows == 3


def test_a_first_line_of_numbers_is_data():
    table = read("1\t2\n3\t4\n")
    assert numbers(table) == [[1, 3], [2, 4]]
    assert names(table) == ["column 0", "column 1"]
    assert any("taken as data" in note for note in table.notes)


def test_names_are_unique_and_never_empty():
    assert names(read("a,a,a (2),,a\n1,2,3,4,5\n2,3,4,5,6\n")) == ["a", "a (3)", "a (2)", "column 3", "a (4)"]
    long = names(read("x" * 500 + "\n1\n2\n"))[0]
    assert len(long) == 60
    assert long.endswith("…")
    assert names(read("a\u202eb,c\x85d\n1,2\n3,4\n")) == ["a b", "c d"], "nothing that turns the text around"


@pytest.mark.parametrize(
    "name", [EVIL, "a.b", "a[0]", "datum['x']", "$1", "| a |", "{{x}}", "__import__('os')", "=1+1"]
)
def test_names_stay_text(name):
    stream = io.StringIO()
    csv.writer(stream).writerows([[name, "b"], [1, 2], [2, 3]])
    assert names(read(stream.getvalue())) == [name, "b"]


@pytest.mark.parametrize(
    ("cells", "trouble"),
    [
        (["red", "blue"], "text"),
        (["1", "blue"], "1 of 2 cells"),
        (["2020-01-31", "2020-02-01"], "dates"),
        (["31.1.2020", "1.2.2020 12:00"], "dates"),
        (["NA", ""], "empty"),
        (["7", "7"], "one number only"),
        (["inf", "1"], "infinity"),
        (["1e999", "1"], "infinity"),
        (["1e120", "1"], "beyond 1e+100"),
        (["True", "False"], "text"),
        (["1_000", "2_000"], "text"),
        (["=1+1", "=cmd|' /C calc'!A0"], "text"),
    ],
)
def test_columns_that_cannot_be_used_say_why(cells, trouble):
    table = read("a,b\n" + "\n".join(f"{cell},{place}" for place, cell in enumerate(cells)))
    assert table.columns[0].values is None
    assert trouble in table.columns[0].trouble
    assert table.usable == (1,)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b" \n\n", "empty"),
        (b'""\n""\n', "empty"),
        (b";;;\n;;;\n", "empty"),
        (b"a,b\n", "no rows"),
        (b"\x00\x01\x02", "no text file"),
        (b"PK\x03\x04\x14\x00\x06\x00xl/workbook.xml\x00", "an Excel workbook (xlsx)"),
        (b"PK\x03\x04\x14\x00mimetypeapplication/vnd.oasis.opendocument.spreadsheet", "spreadsheet (ods)"),
        (b"PK\x03\x04\x14\x00table.csv\x00", "a zip archive"),
        (b"\x1f\x8b\x08\x00\x00", "a gzip archive"),
        (b"PAR1\x15\x04\x00", "a Parquet file"),
        (b"%PDF-1.4\n\x00", "a PDF document"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "an image (PNG)"),
        (b"<!DOCTYPE html><table></table>", "a web page"),
        (b'[{"a": 1}, {"a": 2}]', "JSON"),
        (b"a,b\n1,2\n1,2,3\n", "line 3 has 3 cells, but the line of names has 2"),
        (b'a,b\n"1,2\n3,4', "A quotation mark in line 2 is not closed"),
        (b"x,y\n1,5,2\n2,5,3\n", "with decimal commas, put semicolons between cells"),
        (b"length in cm\n1 2\n3 4\n", "line 2 has 2 cells, but the line of names has 3. Spaces separate the cells"),
        (b"a" * 200_000, "A cell in line 1 has more than 131,072 characters"),
        (b"@RELATION iris\n@DATA\n1,2\n", "an ARFF file"),
        (b"{\\rtf1 a,b}", "formatted text (RTF)"),
        (b"1," * 2_000_000, "2,000,000 columns"),
        (b"sep=~\na~b\n1~2\n", "names a separator that is not read"),
        ((",".join(f"c{i}" for i in range(10_000)) + "\n1").encode(), "10,000 columns"),
        (b"a,b\nred,blue\ngreen,red\n", "No column holds numbers"),
        (b"1," * 200 + b"1\n" + b"2," * 200 + b"1\n", "201 columns"),
    ],
)
def test_refusals(data, words):
    assert words in refused(data)


def test_sizes_are_limited():
    assert "MB" in refused(b"1\n" * (uploads.MAX_BYTES // 2 + 1))
    assert "100,001 rows" in refused("a\n" + "1\n2\n" * 50_000 + "3\n")
    assert read("a\n" + "1\n2\n" * 50_000).n_rows == 100_000
    assert len(read(",".join(map(str, range(200))) + "\n" + ",".join(map(str, range(1, 201)))).columns) == 200


def test_nothing_of_the_file_is_in_the_words_of_a_refusal():
    for data in (f"{EVIL},{EVIL}\n{EVIL},{EVIL}\n", f"{EVIL},b\n1,2,{EVIL}\n"):
        assert "<" not in refused(data)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_give_a_table_or_words(data):
    check_answer(read_table(data))


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet='ab01.,;\t\n\r"-+eE \u00e9<>', max_size=120))
def test_anything_like_a_table_gives_a_table_or_words(text):
    check_answer(read_table(text.encode()))


def check_answer(answer):
    if isinstance(answer, str):
        assert answer
        assert answer.isprintable()
        return
    assert answer.n_rows >= 1
    assert "".join(answer.notes).isprintable()
    assert len(set(names(answer))) == len(answer.columns)
    assert answer.usable
    for column in answer.columns:
        assert (column.values is None) == bool(column.trouble)
        assert column.name
        assert column.name.isprintable()
        if column.values is not None:
            assert column.values.shape == (answer.n_rows,)
            assert not np.isinf(column.values).any()
            assert np.isnan(column.values).sum() == column.n_missing


FINITE = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: float(repr(value)))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(FINITE, FINITE), min_size=2, max_size=20),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_what_the_csv_module_writes_is_read_back(rows, separator, quoting, encoding):
    stream = io.StringIO()
    csv.writer(stream, delimiter=separator, quoting=quoting).writerows([("a", "b"), *rows])
    answer = read_table(stream.getvalue().encode(encoding))
    for place in (0, 1):
        values = [row[place] for row in rows]
        if len(set(values)) > 1:
            assert isinstance(answer, Table)
            assert answer.columns[place].values.tolist() == values


# Tables as students and programs write them: the bytes, the columns in use by name, and words of a note.
CORPUS = {
    "Excel says the separator": (
        b"sep=;\r\na;b\r\n1,5;2\r\n2,5;3\r\n",
        {"a": [1.5, 2.5], "b": [2, 3]},
        "as the first line",
    ),
    "comments above": (b"# by hand\n# 2020\na,b\n1,2\n3,4\n", {"a": [1, 3], "b": [2, 4]}, "2 lines that begin with #"),
    "names in a comment": (b"# a b\n1 2\n3 4\n", {"a": [1, 3], "b": [2, 4]}, "the last line that begins with #"),
    "bars": (b"a|b\n1|2\n3|4\n", {"a": [1, 3], "b": [2, 4]}, "vertical bars"),
    "Markdown": (b"| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n", {"a": [1, 3], "b": [2, 4]}, "vertical bars"),
    "aligned by spaces": (b"  a     b\n  1.5   2\n  3    44\n", {"a": [1.5, 3], "b": [2, 44]}, "spaces"),
    "as R writes": (b'"a" "b"\n"x" 1 2\n"y" 3 4\n', {"a": [1, 3], "b": [2, 4]}, "one cell fewer"),
    "a title": (b"Heights\n\nwho,height\nA,1.5\nB,1.7\n", {"height": [1.5, 1.7]}, "1 line above the table"),
    "a total": (b"who,height\nA,1.5\nB,1.7\nTotal,3.2\n", {"height": [1.5, 1.7]}, "words or totals"),
    "percent": (b"a;b\n10 %;2\n20 %;3", {"a": [10, 20], "b": [2, 3]}, "12 % is read as 12"),
    "money": ("a;b\n€ 10,5;2\n€ 20;3".encode(), {"a": [10.5, 20], "b": [2, 3]}, "Signs beside numbers"),
    "apostrophes": (b"a,b\n1'000,2\n2'500,3\n", {"a": [1000, 2500], "b": [2, 3]}, "apostrophes"),
    "a row index": (b",a\n0,1.5\n1,2.5\n2,4\n", {"a": [1.5, 2.5, 4]}, "commas"),
    "separators at the ends": (b"a,b,\n1,2,\n3,4,\n", {"a": [1, 3], "b": [2, 4]}, "commas"),
    "UTF-16 without a mark": ("a,b\n1,2\n3,4\n".encode("utf-16-le"), {"a": [1, 3], "b": [2, 4]}, "commas"),
    "UTF-32": ("a,b\n1,2\n3,4\n".encode("utf-32"), {"a": [1, 3], "b": [2, 4]}, "commas"),
    "old Macintosh lines": (b"a,b\r1,2\r3,4\r", {"a": [1, 3], "b": [2, 4]}, "commas"),
    "errors of a spreadsheet": (b"a,b\n#DIV/0!,2\n1,3\n3,4\n", {"a": [np.nan, 1, 3], "b": [2, 3, 4]}, "commas"),
    "one column of decimal commas": (b"x\n1,5\n2,25\n", {"x": [1.5, 2.25]}, "decimal commas"),
    "decimal commas, no names": (b"1,5;2,5\n3,5;4,5\n", {"column 0": [1.5, 3.5], "column 1": [2.5, 4.5]}, "semicolons"),
    "decimal commas and spaces": (b"a b\n1,5 2,5\n3,5 4,5\n", {"a": [1.5, 3.5], "b": [2.5, 4.5]}, "spaces"),
    "a decimal mark per column": (b"a;b\n1,5;2.5\n2,5;3.5\n", {"a": [1.5, 2.5], "b": [2.5, 3.5]}, "decimal commas"),
    "spaced thousands": ("a;b\n1\u00a0234,5;1\n2,5;2\n".encode(), {"a": [1234.5, 2.5], "b": [1, 2]}, "thousands"),
    "Iris without names": (
        b"5.1,3.5,Iris-setosa\n4.9,3.0,Iris-setosa\n7,3.2,Iris-versicolor\n",
        {"column 0": [5.1, 4.9, 7], "column 1": [3.5, 3, 3.2]},
        "taken as data",
    ),
    "years as names": (b"land,2019,2020\nA,5,6\nB,7,8\n", {"2019": [5, 7], "2020": [6, 8]}, "though some are numbers"),
    "a first cell missing below": (
        b"#N/A,1\n3,4\n5,6\n",
        {"column 0": [np.nan, 3, 5], "column 1": [1, 4, 6]},
        "as data",
    ),
    "cells to the right that hold nothing": (b"a,b,,,\n1,2,,,\n3,4,,,\n,,,,\n", {"a": [1, 3], "b": [2, 4]}, "commas"),
    "short rows": (b"a,b,c\n1,2\n3,4,5\n6,7,9\n", {"a": [1, 3, 6], "b": [2, 4, 7], "c": [np.nan, 5, 9]}, "of 1 row"),
    "a source below": (b"a,b\n1,2\n3,4\nSource: me\n", {"a": [1, 3], "b": [2, 4]}, "1 line of words"),
    "commas and spaces": (b"a, b\n1, 2\n3, 4\n", {"a": [1, 3], "b": [2, 4]}, "commas"),
    "commas in the words between semicolons": (b"who;x\nSmith, J;5\nDoe, A;6\n", {"x": [5, 6]}, "semicolons"),
    "spaces in the words": (b"who,x\nAnna Smith,5\nBen Doe,7\n", {"x": [5, 7]}, "commas"),
    "printed by psql": (b" a | b \n---+---\n 1 | 2\n 3 | 4\n(2 rows)\n", {"a": [1, 3], "b": [2, 4]}, "vertical bars"),
    "counts of R beside commas": (b'"x","y"\n"1",1.5,2\n"2",2.5,4\n', {"x": [1.5, 2.5], "y": [2, 4]}, "one cell fewer"),
    "a minus sign of print": ("a,b\n−1,2\n3,4\n".encode(), {"a": [-1, 3], "b": [2, 4]}, "commas"),
}


@pytest.mark.parametrize(("data", "columns", "note"), CORPUS.values(), ids=CORPUS)
def test_tables_as_people_write_them(data, columns, note):
    table = read(data)
    assert {table.columns[place].name for place in table.usable} == set(columns)
    for place in table.usable:
        np.testing.assert_array_equal(table.columns[place].values, columns[table.columns[place].name])
    assert note in " ".join(table.notes)


def test_a_first_line_longer_than_the_sample():
    header = ",".join(f"name {place} {'x' * 400}" for place in range(190))
    table = read(f"{header}\n" + "\n".join(",".join([str(row)] * 190) for row in range(3)))
    assert len(table.columns) == 190
    assert numbers(table) == [[0, 1, 2]] * 190


def test_letters_of_another_alphabet_do_not_cost_the_numbers():
    table = read("身長,体重\n170,60\n160,55\n".encode("shift_jis"))
    assert numbers(table) == [[170, 160], [60, 55]]
    assert any("letters beyond a to z in names may be wrong" in note for note in table.notes)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([data for data, _, _ in CORPUS.values()]), st.data())
def test_a_damaged_file_gives_a_table_or_words(data, draw):
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 4))):
        place = draw.draw(st.integers(0, len(damaged)))
        damaged[place : place + draw.draw(st.integers(0, 3))] = draw.draw(st.binary(max_size=3))
    check_answer(read_table(bytes(damaged)))


def test_half_a_character_at_the_end_is_no_number():
    table = read("a,b\n1,2\n3,4\n".encode("utf-16") + b"5")
    assert numbers(table)[0] == [1, 3]
    assert (
        "1 of 2 cells are not numbers, the first of them in line 3"
        in read("a,b\n1,2\n3,4".encode("utf-16")[:-1]).columns[1].trouble
    )


def in_groups(digits: str, mark: str) -> str:
    """1234567 as 1,234,567."""
    return f"{int(digits):,}".replace(",", mark)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-(10**9), 10**9), st.integers(0, 99)), min_size=2, max_size=12),
    st.sampled_from(
        [(";", ",", "."), (";", ",", "\u00a0"), ("\t", ".", ","), ("|", ",", "’"), (" ", ",", "."), (",", ".", "'")]
    ),
    st.sampled_from(["", " %", "€"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_numbers_in_any_dialect_come_back(pairs, dialect, unit, encoding, end):
    """Two decimals, so that only one reading is left; the other column counts."""
    separator, decimal, thousands = dialect
    unit = unit.strip() if separator == " " else unit
    written, values = [], []
    for whole, cents in pairs:
        sign = "-" if whole < 0 else ""
        written.append(f"{sign}{in_groups(str(abs(whole)), thousands)}{decimal}{cents:02}{unit}")
        values.append(float(f"{sign}{abs(whole)}.{cents:02}"))
    lines = [separator.join(["x", "n"]), *(f"{cell}{separator}{7 + place}" for place, cell in enumerate(written))]
    answer = read_table(end.join(lines).encode(encoding))
    assert isinstance(answer, Table), answer
    assert answer.columns[1].values.tolist() == [7 + place for place in range(len(pairs))]
    if len(set(values)) > 1:
        assert answer.columns[0].values.tolist() == values
