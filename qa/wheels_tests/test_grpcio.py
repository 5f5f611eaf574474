import concurrent.futures

import grpc
import pytest


class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        def unary(request, context):
            if request == b"abort":
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "aborted")
            return request[::-1]

        def stream(request, context):
            yield from (bytes([byte]) for byte in request)

        def collect(requests, context):
            return b"".join(requests)

        return {"/s/unary": grpc.unary_unary_rpc_method_handler(unary),
                "/s/stream": grpc.unary_stream_rpc_method_handler(stream),
                "/s/collect": grpc.stream_unary_rpc_method_handler(collect)}.get(details.method)


@pytest.fixture(scope="module")
def channel():
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((Handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    server.stop(None)


@pytest.mark.parametrize("size", [0, 1, 1000, 3_000_000])
def test_unary(channel, size):
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    assert channel.unary_unary("/s/unary")(data, timeout=60) == data[::-1]


def test_stream(channel):
    assert list(channel.unary_stream("/s/stream")(b"abc", timeout=60)) == [b"a", b"b", b"c"]


def test_collect(channel):
    assert channel.stream_unary("/s/collect")(iter([b"a", b"b"]), timeout=60) == b"ab"


def test_error(channel):
    with pytest.raises(grpc.RpcError) as error:
        channel.unary_unary("/s/unary")(b"abort", timeout=60)
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.value.details() == "aborted"


def test_unknown_method(channel):
    with pytest.raises(grpc.RpcError) as error:
        channel.unary_unary("/s/none")(b"", timeout=60)
    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_threads(channel):
    call = channel.unary_unary("/s/unary")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda n: call(b"%d" % n, timeout=60) == (b"%d" % n)[::-1], range(200)))


def test_deadline(channel):
    with pytest.raises(grpc.RpcError) as error:
        channel.unary_unary("/s/unary")(b"x", timeout=-1)
    assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
