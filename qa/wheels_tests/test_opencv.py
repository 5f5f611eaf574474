import concurrent.futures

import cv2
import numpy
import pytest


@pytest.fixture
def image():
    image = numpy.zeros((120, 160, 3), numpy.uint8)
    cv2.circle(image, (80, 60), 40, (10, 200, 90), -1)
    cv2.putText(image, "Text", (20, 60), cv2.FONT_HERSHEY_SIMPLEX, 1, (255, 255, 255), 2)
    return image


@pytest.mark.parametrize("kind", [".png", ".jpg", ".webp", ".tiff", ".bmp"])
def test_codecs(image, kind):
    done, data = cv2.imencode(kind, image)
    assert done
    assert cv2.imdecode(data, cv2.IMREAD_COLOR).shape == image.shape


@pytest.mark.parametrize("size", [(10, 10), (320, 240)])
def test_resize(image, size):
    assert cv2.resize(image, size, interpolation=cv2.INTER_AREA).shape[:2] == size[::-1]


def test_filters(image):
    assert cv2.GaussianBlur(image, (5, 5), 1.5).mean() == pytest.approx(image.mean(), rel=0.05)
    assert cv2.Canny(image, 100, 200).any()


def test_dft():
    values = numpy.random.default_rng(1).random((64, 64)).astype(numpy.float32)
    back = cv2.idft(cv2.dft(values, flags=cv2.DFT_COMPLEX_OUTPUT), flags=cv2.DFT_SCALE | cv2.DFT_REAL_OUTPUT)
    assert numpy.allclose(back, values, atol=1e-4)


def test_contours(image):
    contours, _ = cv2.findContours(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    assert len(contours) == 1
    assert cv2.contourArea(contours[0]) > 4000


def test_solve():
    a = numpy.array([[3.0, 1], [1, 2]])
    assert numpy.allclose(cv2.solve(a, numpy.array([[9.0], [8]]))[1].ravel(), [2, 3])


def test_error(image):
    with pytest.raises(cv2.error):
        cv2.cvtColor(image, 9999)


def test_video(image, tmp_path):
    path = str(tmp_path / "v.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 10, (160, 120))
    for _ in range(5):
        writer.write(image)
    writer.release()
    assert cv2.VideoCapture(path).read()[0]


def test_threads(image):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda n: cv2.medianBlur(image, 5).sum(), range(40)))
    assert len(set(results)) == 1


def test_build_information():
    assert "OpenCV" in cv2.getBuildInformation()
