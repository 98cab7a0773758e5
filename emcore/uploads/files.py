"""What some bytes are: text, decoded, or a file of another kind, named in a sentence that says what to do."""

import codecs
import re

_MARKS = (  # the longer first: UTF-32's mark begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LEGACY = (
    "The text is not UTF-8 and was read as Windows-1252 (Latin-1): numbers are as in the file, but letters beyond "
    "a to z in names may be wrong. Saved as UTF-8, the names come out right."
)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_SAVE = "Open it in the program that made it and save the table as CSV"
_UNPACK = "Unpack it, and choose the CSV file inside"
_TYPE = "Type its numbers into a spreadsheet and save that as CSV"
_KINDS: tuple[tuple[bytes, str, str], ...] = (  # first bytes, what begins with them, what to do
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook (xls) or another Office file", _SAVE),
    (b"\x1f\x8b", "a gzip archive (gz)", _UNPACK),
    (b"BZh", "a bzip2 archive (bz2)", _UNPACK),
    (b"\xfd7zXZ\x00", "an xz archive", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive (zst)", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"Rar!\x1a\x07", "a rar archive", _UNPACK),
    (b"PAR1", "a Parquet file", _SAVE),
    (b"ARROW1", "a Feather (Arrow) file", _SAVE),
    (b"FEA1", "a Feather file", _SAVE),
    (b"%PDF-", "a PDF document", "Copy its table into a spreadsheet and save that as CSV"),
    (b"\x89PNG\r\n\x1a\n", "an image (PNG)", _TYPE),
    (b"\xff\xd8\xff", "an image (JPEG)", _TYPE),
    (b"GIF8", "an image (GIF)", _TYPE),
    (b"BM", "an image (BMP)", _TYPE),
    (b"II*\x00", "an image (TIFF)", _TYPE),
    (b"MM\x00*", "an image (TIFF)", _TYPE),
    (b"RIFF", "an image, a sound or a film (RIFF)", _TYPE),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", _SAVE),
    (b"CDF", "a NetCDF file", _SAVE),
    (b"\x93NUMPY", "a NumPy array (npy)", _SAVE),
    (b"MATLAB", "a MATLAB file (mat)", _SAVE),
    (b"SQLite format 3\x00", "an SQLite database", _SAVE),
    (b"$FL2", "an SPSS file (sav)", _SAVE),
    (b"<stata_dta>", "a Stata file (dta)", _SAVE),
    (b"RDX", "an R data file (RData)", _SAVE),
    (b"\x80\x04", "a Python pickle", _SAVE),
    (b"\x80\x05", "a Python pickle", _SAVE),
)
_ZIPPED: tuple[tuple[bytes, str, str], ...] = (  # what the parts in a zip archive are called, and whose they are
    (b"xl/", "an Excel workbook (xlsx)", _SAVE),
    (b"opendocument.spreadsheet", "an OpenDocument spreadsheet (ods)", _SAVE),
    (b".iwa", "a Numbers spreadsheet", _SAVE),
    (b"word/", "a Word document (docx)", "Copy its table into a spreadsheet and save that as CSV"),
    (b".npy", "a NumPy archive (npz)", _SAVE),
    (b"", "a zip archive", _UNPACK),
)
_TEXTS: tuple[tuple[str, str, str, str], ...] = (  # the same of files that are text, and how they end
    (r"\s*<(!doctype|html|\?xml|head|body|table|svg)\b", ">", "a web page or XML", _SAVE),
    (r"\{\\rtf", "", "formatted text (RTF)", "Save it as plain text"),
    (r"\s*[\[{]", "]}", "JSON, or a list in brackets", "Write one row per line, the cells separated by commas"),
    ("%PDF-", "", "a PDF document", "Copy its table into a spreadsheet and save that as CSV"),
    (
        r"(?:\s|%[^\n]*\n)*@relation\b",
        "",
        "an ARFF file",
        "Keep the lines below @data, under a line of names separated by commas",
    ),
)


def decoded(data: bytes) -> tuple[str, str]:
    """The text with plain line ends, and a note where its letters are not certain: any bytes are text in Latin-1."""
    text, note = _as_text(data)
    return text.replace("\r\n", "\n").replace("\r", "\n").strip("\x1a\n\ufeff"), note


def _as_text(data: bytes) -> tuple[str, str]:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace"), ""
    unmarked = _utf_16_without_a_mark(data)
    if unmarked:
        return data.decode(unmarked, "replace"), ""
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode("utf-8"), ""
    except UnicodeDecodeError:
        pass
    try:
        return data.decode("cp1252"), _LEGACY
    except UnicodeDecodeError:
        return data.decode("latin-1"), _LEGACY


def _utf_16_without_a_mark(data: bytes) -> str:
    """The order of the bytes, where at least half the characters are of one byte and a zero; else ""."""
    even, odd = (data[place:1_000:2].count(0) for place in (0, 1))
    if not even and 4 * odd >= min(len(data), 1_000) > 1:
        return "utf-16-le"
    return "utf-16-be" if not odd and 4 * even >= min(len(data), 1_000) > 1 else ""


def other_kind(data: bytes, text: str) -> str:
    """What to say of a file that is no table as text; "" where it may be one."""
    if _CONTROL.search(text):
        kinds = _ZIPPED if data.startswith((b"PK\x03\x04", b"PK\x05\x06")) else _KINDS
        for sign, what, to_do in kinds:
            if sign in data if kinds is _ZIPPED else data.startswith(sign):
                return _said(what, to_do)
        return "This is no text file: it holds control characters. Save the table as CSV and choose that file."
    for start, ends, what, to_do in _TEXTS:
        if re.match(start, text, re.IGNORECASE) and (not ends or text.rstrip()[-1:] in ends):
            return _said(what, to_do)
    return ""


def _said(what: str, to_do: str) -> str:
    return f"This is {what}, not a table as text. {to_do}."
