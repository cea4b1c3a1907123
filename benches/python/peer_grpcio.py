"""The peer grpcio: a server over a Unix socket.

`aio` is what its guide on performance recommends; `threads` is what its tutorial shows.
"""

import asyncio
import os
import sys
import threading
from concurrent import futures

try:
    import grpc
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
except ImportError as error:
    print(f"unfit: {error}; `cargo xtask setup --bench` installs it", flush=True)
    sys.exit()

MODE, PATH = sys.argv[1:]


def message(file, name, field):
    """Describe a message with one integer, as a generated module would."""
    described = file.message_type.add(name=name)
    described.field.add(
        name=field,
        number=1,
        type=descriptor_pb2.FieldDescriptorProto.TYPE_UINT64,
        label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL,
    )


file = descriptor_pb2.FileDescriptorProto(name="bench.proto", package="bench", syntax="proto3")
message(file, "Question", "value")
message(file, "Answer", "result")
pool = descriptor_pool.DescriptorPool()
pool.Add(file)
Question, Answer = (
    message_factory.GetMessageClass(pool.FindMessageTypeByName(f"bench.{name}"))
    for name in ("Question", "Answer")
)


def handler(function):
    method = grpc.unary_unary_rpc_method_handler(
        function,
        request_deserializer=Question.FromString,
        response_serializer=Answer.SerializeToString,
    )
    return grpc.method_handlers_generic_handler("bench.Bench", {"Predict": method})


def end_with_input():
    """End when the benchmark does, however that ends."""
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=end_with_input, daemon=True).start()


async def serve_aio():
    async def predict(question, context):
        return Answer(result=question.value * 2)

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handler(predict),))
    server.add_insecure_port(f"unix:{PATH}")
    await server.start()
    print("ready", flush=True)
    await server.wait_for_termination()


def serve_threads():
    def predict(question, context):
        return Answer(result=question.value * 2)

    server = grpc.server(futures.ThreadPoolExecutor(max_workers=10))
    server.add_generic_rpc_handlers((handler(predict),))
    server.add_insecure_port(f"unix:{PATH}")
    server.start()
    print("ready", flush=True)
    server.wait_for_termination()


if MODE == "aio":
    asyncio.run(serve_aio())
else:
    serve_threads()
