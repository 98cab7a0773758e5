"""The data that come with emcore: complete in their provenance, and equal to what is in print."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

from emcore import datasets

FOLDER = Path(__file__).resolve().parents[1] / "datasets"
FITS = json.loads(Path(__file__).with_name("published_fits.json").read_text(encoding="utf-8"))


# --- provenance -----------------------------------------------------------------------------------------------


def test_every_file_has_provenance_and_every_entry_a_file():
    assert datasets.names() == sorted(path.stem for path in FOLDER.glob("*.csv"))


@pytest.mark.parametrize("name", datasets.names())
def test_size_and_header_are_as_stated(name):
    entry, frame = datasets.info(name), datasets.load(name)
    assert frame.shape == (entry.rows, entry.columns)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", column) for column in frame.columns)


@pytest.mark.parametrize("name", datasets.names())
def test_every_column_is_explained(name):
    explained = set(re.findall(r"\w+", datasets.info(name).fields))
    columns = {column for column in datasets.load(name).columns if not re.fullmatch(r"p[0-6][0-9]", column)}
    assert columns <= explained


@pytest.mark.parametrize("name", datasets.names())
def test_provenance_is_told_in_words_without_addresses(name):
    entry = datasets.info(name)
    texts = [entry.title, entry.fields, entry.source, entry.licence, entry.citation, entry.changes]
    texts += [entry.published, entry.notes]
    assert all(text.strip() for text in texts)
    assert not re.search(r"https?:|www\.|doi\.org", " ".join(texts))


def test_readme_is_in_step_with_provenance():
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    begin, end = (f"<!-- {word}: made from provenance.json -->\n" for word in ("begin", "end"))
    made = "\n\n".join([datasets.catalogue(), *map(datasets.describe, datasets.names())])
    assert readme.split(begin)[1].split(end)[0] == made + "\n"


def test_catalogue_rows_have_as_many_cells_as_the_header():
    cells = {len(re.findall(r"(?<!\\)\|", line)) for line in datasets.catalogue().splitlines()}
    assert cells == {6}


# --- loading --------------------------------------------------------------------------------------------------


def test_column_types_follow_from_the_values():
    assert datasets.load("old_faithful").schema == {"eruptions": pl.Float64, "waiting": pl.Int64}
    penguins = datasets.load("penguins").schema
    assert penguins["body_mass_g"] == pl.Int64  # missing cells do not make a whole number a fraction or a text
    assert penguins["sex"] == pl.String
    assert set(datasets.load("digits").dtypes) == {pl.Int64}


def test_unknown_name_is_answered_with_close_and_all_names():
    with pytest.raises(ValueError, match=r"no data set 'old_faithfull'.*Did you mean 'old_faithful'") as caught:
        datasets.load("old_faithfull")
    assert all(name in str(caught.value) for name in datasets.names())
    with pytest.raises(ValueError, match=r"'zzz'\. Known: ability_cov"):
        datasets.info("zzz")


def test_path_is_not_a_name():
    with pytest.raises(ValueError, match="no data set"):
        datasets.load("../datasets/iris")


def test_without_polars_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ImportError, match=r"emcore-learn\[frames\]"):
        datasets.load("iris")
    assert datasets.info("iris").rows == 150  # needs no polars


def test_importing_datasets_and_asking_for_info_does_not_load_polars():
    code = "import sys; from emcore import datasets; datasets.info('iris'); print('polars' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=FOLDER.parent)
    assert run.stdout.strip() == "False"


def test_installed_package_reads_its_own_folder(monkeypatch, tmp_path):
    (tmp_path / "_data").mkdir()
    (tmp_path / "_data" / "toy.csv").write_text("x\n1\n", encoding="utf-8")
    entry = {"toy": {**json.loads((FOLDER / "provenance.json").read_text("utf-8"))["coal"], "rows": 1}}
    (tmp_path / "_data" / "provenance.json").write_text(json.dumps(entry), encoding="utf-8")
    monkeypatch.setattr(datasets.resources, "files", lambda package: tmp_path)
    assert datasets.names() == ["toy"]
    assert datasets.load("toy").to_dicts() == [{"x": 1}]


# --- values against facts in print ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "column", "total"),
    [
        ("death_notices", "days", 1096),  # three years of The Times (Hasselblad 1969)
        ("accidents", "policies", 9461),  # Simar 1976
        ("cholera", "houses", 55),  # McKendrick 1926
        ("mites", "leaves", 150),  # Bliss & Fisher 1953
        ("carcinoma", "count", 118),  # Agresti 2002, table 13.1
        ("gss82", "count", 1202),  # McCutcheon 1987
        ("stouffer_toby", "count", 216),  # Goodman 1974
        ("crabs_pearson", "crabs", 1000),  # Pearson 1894
        ("partially_classified", "count", 478),  # Little & Rubin
    ],
)
def test_total_of_frequency_table(name, column, total):
    assert datasets.load(name)[column].sum() == total
    assert datasets.load(name).columns[-1] == column


def test_single_rows_of_counts_have_the_printed_totals():
    assert datasets.load("linkage").sum_horizontal().to_list() == [197]  # Rao 1965
    assert datasets.load("abo").sum_horizontal().to_list() == [521]  # Clarke et al. 1959


@pytest.mark.parametrize(
    ("name", "means"),
    [  # the means that R's summary() prints
        ("old_faithful", {"eruptions": "3.488", "waiting": "70.90"}),
        ("iris", {"sepal_length": "5.843", "sepal_width": "3.057", "petal_length": "3.758", "petal_width": "1.199"}),
        ("airquality", {"ozone": "42.13", "solar_r": "185.9", "wind": "9.958", "temp": "77.88"}),
        ("stackloss", {"air_flow": "60.43", "water_temp": "21.1", "acid_conc": "86.29", "stack_loss": "17.52"}),
        ("penguins", {"bill_length_mm": "43.92", "bill_depth_mm": "17.15", "flipper_length_mm": "200.9"}),
        ("galaxies", {"velocity": "20828"}),
        ("geyser", {"waiting": "72.31", "duration": "3.461"}),
        ("biochemists", {"art": "1.693", "kid5": "0.4951", "phd": "3.103", "ment": "8.767"}),
        ("dyestuff", {"yield": "1527.5"}),
    ],
)
def test_means_in_print(name, means):
    frame = datasets.load(name)
    for column, printed in means.items():
        digits = len(printed.partition(".")[2])
        assert abs(frame[column].mean() - float(printed)) <= 0.5 * 10.0**-digits + 1e-9


def test_missing_cells():
    missing = {name: sum(datasets.load(name).null_count().row(0)) for name in datasets.names()}
    assert {name: count for name, count in missing.items() if count} == {
        "airquality": 44,
        "apple_crop": 6,
        "murray": 8,
        "partially_classified": 4,
        "penguins": 4 * 2 + 11,
    }
    measured = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]
    assert datasets.load("penguins").drop_nulls(measured).height == 342
    assert datasets.load("penguins").drop_nulls().height == 333
    assert datasets.load("airquality")["ozone"].null_count() == 37
    assert datasets.load("airquality").drop_nulls().height == 111


def test_galaxies_keep_the_misprint_of_mass():
    velocity = datasets.load("galaxies")["velocity"]
    assert velocity[77] == 26690
    assert velocity.is_sorted()


def test_iris_and_digits_equal_the_copies_of_scikit_learn():
    from sklearn.datasets import load_digits, load_iris

    iris, digits = datasets.load("iris"), datasets.load("digits")
    assert np.array_equal(iris.drop("species").to_numpy(), load_iris().data)
    assert iris["species"].to_list() == [load_iris().target_names[label] for label in load_iris().target]
    assert np.array_equal(digits.to_numpy(), np.column_stack([load_digits().data, load_digits().target]))


def test_species_and_digits_come_in_the_printed_numbers():
    counts = dict(datasets.load("penguins")["species"].value_counts().iter_rows())
    assert counts == {"Adelie": 152, "Chinstrap": 68, "Gentoo": 124}
    classes = datasets.load("digits")["digit"].value_counts().sort("digit")["count"].to_list()
    assert classes == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]  # UCI, optical digits, test part


def test_known_coins_have_the_printed_shares_of_heads():
    shares = datasets.load("coin_tosses").group_by("coin").agg(pl.col("heads").mean() / 10).sort("coin")
    assert shares["heads"].to_list() == pytest.approx([0.80, 0.45], abs=1e-12)  # Do & Batzoglou 2008, figure 1a


def test_ratings_of_the_anaesthetists():
    ratings = datasets.load("anaesthetists")
    assert ratings["item"].n_unique() == 45
    assert [ratings[column].max() for column in ratings.columns] == [44, 4, 3]
    assert dict(ratings["annotator"].value_counts().iter_rows()) == {0: 135, 1: 45, 2: 45, 3: 45, 4: 45}
    second = ratings.filter(pl.col("item") == 1)["label"] + 1
    assert second.to_list() == [3, 3, 3, 4, 3, 3, 4]  # Dawid & Skene 1979, table 1


def test_life_tests_have_the_printed_censoring():
    motors = datasets.load("motors")
    assert motors.filter(pl.col("temp") == 150)["cens"].sum() == 0
    assert motors["cens"].sum() == 40 - 23  # Schmee & Hahn 1979
    treated = datasets.load("gehan").filter(pl.col("treat") == "6-MP")
    assert (treated["cens"].sum(), treated["time"].sum()) == (9, 359)


def test_covariances_of_the_ability_tests():
    table = datasets.load("ability_cov")
    assert table["variable"].to_list() == table.columns[1:]
    matrix = table.drop("variable").to_numpy()
    assert np.array_equal(matrix, matrix.T)
    assert np.linalg.eigvalsh(matrix).min() > 0


def test_coal_mining_disasters():
    dates = datasets.load("coal")["date"].to_numpy()
    assert len(dates) == 191  # Jarrett 1979
    intervals = np.round(365.25 * np.diff(dates))
    assert ((intervals == 0).sum(), intervals.sum()) == (1, 40549)


# --- values against published log-likelihoods of the one-component models ------------------------------------


def test_one_poisson_rate_for_the_earthquakes():
    count = datasets.load("earthquakes")["count"].to_numpy()
    loglik = stats.poisson.logpmf(count, count.mean()).sum()
    assert loglik == pytest.approx(-391.9189, abs=5e-5)  # Zucchini & MacDonald 2009, table 1.2


@pytest.mark.parametrize(
    ("name", "published", "half_unit"),
    [("gss82", -2872.230, 5e-4), ("stouffer_toby", -543.6498, 5e-5)],  # McCutcheon; poLCA manual
)
def test_independent_items(name, published, half_unit):
    frame = datasets.load(name)
    count = frame["count"].to_numpy()
    items = frame.drop("count").to_numpy()
    loglik = 0.0
    for item in items.T:
        totals = np.bincount(item, weights=count)
        loglik += totals @ np.log(totals / count.sum())
    assert loglik == pytest.approx(published, abs=half_unit)


def test_one_state_for_the_long_eruptions():
    long = datasets.load("geyser")["duration"].to_numpy() >= 3
    assert long.sum() == 194
    loglik = stats.bernoulli.logpmf(long, long.mean()).sum()
    assert loglik == pytest.approx(-193.80, abs=5e-3)  # Zucchini & MacDonald 2009


def test_normal_errors_for_the_stack_loss():
    table = datasets.load("stackloss").to_numpy()
    design = np.column_stack([np.ones(21), table[:, :3]])
    residual_sum = np.linalg.lstsq(design, table[:, 3], rcond=None)[1][0]
    loglik = -10.5 * (np.log(residual_sum / 21) + 1)
    assert loglik == pytest.approx(-33.0, abs=0.05)  # Lange, Little & Taylor 1989, without (n/2) log 2 pi


# --- the published fits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", FITS, ids=lambda case: case["id"])
def test_published_fit_names_data_that_are_here(case):
    data = case["data"]
    frame = datasets.load(data["dataset"])
    chosen = frame.select(data["columns"]) if "columns" in data else frame
    if "missing" in data:
        assert sum(chosen.null_count().row(0)) == data["missing"]
    if "weight" in data:
        assert frame[data["weight"]].sum() == data["n"]
    if "labels" in data:
        assert frame[data["labels"]].null_count() == 0


def test_published_fits_are_forty_with_tolerances():
    assert len({case["id"] for case in FITS}) == len(FITS) == 40
    assert all(case["expected"] and case["tolerance"] and case["published"] for case in FITS)
