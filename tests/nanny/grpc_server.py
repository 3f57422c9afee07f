# A real gRPC server: grpcio's, with the health service in plain bytes, so that nothing
# is generated. ADDRESS:PORT, and KEY CERTIFICATE for TLS, or bare without the service.
import sys
import time
from concurrent import futures

import grpc

# Field 1 of the request, and of the answer; the whole server has no name.
HEALTH = {b"": 1, b"shop.Cart": 1, b"shop.Closed": 2, b"shop.Gone": 3, b"shop.New": 0}


def check(request, context):
    name = request[2:]
    if name == b"shop.Broken":
        context.abort(grpc.StatusCode.INTERNAL, "the till is on fire")
    if name == b"shop.Slow":
        time.sleep(60)
    if name not in HEALTH:
        context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
    return bytes([1 << 3, HEALTH[name]]) if HEALTH[name] else b""


address, files = sys.argv[1], sys.argv[2:]
server = grpc.server(futures.ThreadPoolExecutor(max_workers=4), options=[("grpc.so_reuseport", 0)])
if files == ["bare"]:
    files = []
else:
    method = grpc.unary_unary_rpc_method_handler(check)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": method}),))
if files:
    key, certificate = (open(name, "rb").read() for name in files)
    server.add_secure_port(address, grpc.ssl_server_credentials([(key, certificate)]))
else:
    server.add_insecure_port(address)
server.start()
server.wait_for_termination()
