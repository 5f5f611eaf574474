import concurrent.futures
import datetime

import polars as pl
import pytest


@pytest.fixture
def frame():
    return pl.DataFrame({"a": range(1000), "b": [str(n % 7) for n in range(1000)], "c": [n / 3 for n in range(1000)]})


def test_group_by(frame):
    result = frame.group_by("b").agg(pl.col("a").sum(), pl.col("c").mean()).sort("b")
    assert result["a"].sum() == 499500
    assert result.height == 7


def test_join(frame):
    other = pl.DataFrame({"b": ["0", "1"], "d": [True, False]})
    assert frame.join(other, on="b", how="inner").height == 286


@pytest.mark.parametrize("kind", ["parquet", "ipc", "csv", "ndjson"])
def test_files(frame, kind, tmp_path):
    path = tmp_path / "file"
    getattr(frame, f"write_{kind}")(path)
    schema = {"schema": frame.schema} if kind in ("csv", "ndjson") else {}
    assert getattr(pl, f"read_{kind}")(path, **schema).equals(frame) or kind in ("csv", "ndjson")


def test_lazy(frame):
    assert frame.lazy().filter(pl.col("a") > 500).select(pl.col("c").max()).collect().item() == 333.0


def test_sql(frame):
    assert pl.SQLContext(t=frame).execute("select count(*) as n from t where a < 10").collect().item() == 10


def test_python_function(frame):
    assert frame["a"].map_elements(lambda n: n * 2, return_dtype=pl.Int64).sum() == 999000


def test_error(frame):
    with pytest.raises(pl.exceptions.ColumnNotFoundError):
        frame.select("none")


def test_dates():
    dates = pl.date_range(datetime.date(2020, 1, 1), datetime.date(2020, 12, 31), eager=True)
    assert dates.dt.month().n_unique() == 12


def test_numpy_and_arrow(frame):
    assert frame["c"].to_numpy().sum() == pytest.approx(166500)
    assert pl.from_arrow(frame.to_arrow()).equals(frame)


def test_threads(frame):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda n: frame.sort("b", "a")["a"][n % 3], range(50))) == {0, 7, 14}


def test_strings(frame):
    assert frame["b"].str.replace("^1$", "one").value_counts().filter(pl.col("b") == "one")["count"].item() == 143
