import concurrent.futures

import duckdb
import pytest


@pytest.fixture
def connection():
    with duckdb.connect() as connection:
        connection.execute("create table t as select i, i % 10 as j, i / 3.0 as x, 'row ' || i as s from range(10000) r(i)")
        yield connection


def test_aggregates(connection):
    assert connection.execute("select count(*), sum(i), count(distinct j) from t").fetchone() == (10000, 49995000, 10)


def test_join(connection):
    assert connection.execute("select count(*) from t a join t b on a.i = b.i + 1").fetchone() == (9999,)


def test_window(connection):
    assert connection.execute("select max(n) from (select row_number() over (partition by j) n from t)").fetchone() == (1000,)


@pytest.mark.parametrize("kind", ["parquet", "csv", "json"])
def test_files(connection, kind, tmp_path):
    try:
        connection.execute(f"copy t to '{tmp_path}/f.{kind}'")
    except duckdb.Error as error:
        pytest.skip(str(error))
    assert connection.execute(f"select sum(i) from '{tmp_path}/f.{kind}'").fetchone() == (49995000,)


def test_pandas_and_arrow(connection):
    frame = connection.execute("select * from t").df()
    assert connection.execute("select sum(i) from frame").fetchone() == (49995000,)
    assert connection.execute("select i from t").fetch_arrow_table().num_rows == 10000


def test_function(connection):
    connection.create_function("twice", lambda n: n * 2, ["BIGINT"], "BIGINT")
    assert connection.execute("select sum(twice(i)) from t where i < 100").fetchone() == (9900,)


def test_errors(connection):
    with pytest.raises(duckdb.CatalogException):
        connection.execute("select * from none")
    with pytest.raises(duckdb.ParserException):
        connection.execute("selec")


def test_file_database(tmp_path):
    for n in range(2):
        with duckdb.connect(str(tmp_path / "d")) as connection:
            connection.execute("create table if not exists t as select 1 as a")
            assert connection.execute("select a from t").fetchall() == [(1,)]


def test_threads(connection):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        sums = pool.map(lambda n: connection.cursor().execute("select sum(x) from t").fetchone(), range(40))
        assert len(set(sums)) == 1


def test_regex(connection):
    assert connection.execute("select count(*) from t where regexp_matches(s, 'row 9+$')").fetchone() == (4,)
