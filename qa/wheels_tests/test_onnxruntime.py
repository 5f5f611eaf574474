import numpy
import onnxruntime
import pytest


def field(number, value):
    """A field of a message of protocol buffers."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    value = value.encode() if isinstance(value, str) else value
    assert len(value) < 128 * 128
    size = bytes([len(value)]) if len(value) < 128 else bytes([len(value) & 127 | 128, len(value) >> 7])
    return bytes([number << 3 | 2]) + size + value


def make_model(operation):
    """y = operation(a, b), of float vectors."""
    def describe(name):
        shape = field(2, field(1, field(2, "N")))
        return field(1, name) + field(2, field(1, field(1, 1) + shape))

    node = field(1, "a") + field(1, "b") + field(2, "y") + field(4, operation)
    graph = field(1, node) + field(2, "g") + field(11, describe("a")) + field(11, describe("b")) + field(12, describe("y"))
    return field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 13))


@pytest.mark.parametrize("operation, result", [("Add", 5.0), ("Mul", 6.0), ("Sub", -1.0), ("Pow", 8.0)])
def test_run(operation, result):
    session = onnxruntime.InferenceSession(make_model(operation), providers=["CPUExecutionProvider"])
    a, b = (numpy.full(1000, value, numpy.float32) for value in (2, 3))
    assert (session.run(["y"], {"a": a, "b": b})[0] == result).all()


def test_errors():
    with pytest.raises(Exception, match="(?i)protobuf|parse|model"):
        onnxruntime.InferenceSession(b"nothing")
    session = onnxruntime.InferenceSession(make_model("Add"), providers=["CPUExecutionProvider"])
    with pytest.raises(Exception, match="(?i)invalid|required"):
        session.run(["y"], {"a": numpy.zeros(1, numpy.float32)})


def test_providers():
    assert "CPUExecutionProvider" in onnxruntime.get_available_providers()
