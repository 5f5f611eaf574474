import lightgbm
import numpy
import pytest


@pytest.fixture
def data():
    random = numpy.random.default_rng(1)
    x = random.random((500, 5))
    return x, (x[:, 0] + x[:, 1] > 1).astype(int)


@pytest.mark.parametrize("boosting", ["gbdt", "dart", "rf"])
def test_train(data, boosting):
    booster = lightgbm.train({"objective": "binary", "boosting": boosting, "verbose": -1, "bagging_freq": 1,
                              "bagging_fraction": 0.8, "num_threads": 2}, lightgbm.Dataset(*data), 20)
    assert ((booster.predict(data[0]) > 0.5) == data[1]).mean() > 0.9


def test_error(data):
    with pytest.raises(lightgbm.basic.LightGBMError):
        lightgbm.train({"objective": "none", "verbose": -1}, lightgbm.Dataset(*data), 1)
