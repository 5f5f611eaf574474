import numpy
import pytest
import xgboost


@pytest.fixture
def data():
    random = numpy.random.default_rng(1)
    x = random.random((500, 5))
    return x, (x[:, 0] + x[:, 1] > 1).astype(int)


@pytest.mark.parametrize("method", ["hist", "exact", "approx"])
def test_train(data, method):
    booster = xgboost.train({"objective": "binary:logistic", "tree_method": method, "nthread": 2},
                            xgboost.DMatrix(data[0], data[1]), 20)
    predicted = booster.predict(xgboost.DMatrix(data[0]))
    assert ((predicted > 0.5) == data[1]).mean() > 0.95


def test_save(data, tmp_path):
    booster = xgboost.train({"max_depth": 2}, xgboost.DMatrix(data[0], data[1]), 3)
    booster.save_model(tmp_path / "m.json")
    other = xgboost.Booster(model_file=tmp_path / "m.json")
    assert (other.predict(xgboost.DMatrix(data[0])) == booster.predict(xgboost.DMatrix(data[0]))).all()


def test_error(data):
    with pytest.raises(xgboost.core.XGBoostError):
        xgboost.train({"objective": "none"}, xgboost.DMatrix(data[0], data[1]), 1)
