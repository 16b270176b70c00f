#!/usr/bin/env python3
"""Reads OTLP with nothing of Parallax: the messages by OpenTelemetry's own Python code, the calls by gRPC's.

    reader.py GRPC-PORT HTTP-PORT [NEXT-HOST:PORT]

Takes what exporters send, keeps the spans, hands each request on to the next receiver as it came, and answers
`GET /api/traces/ID` on loopback with the spans of that trace as JSON; `GET /healthz` says that it is ready.
"""

import json
import sys
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

spans = {}
lock = threading.Lock()


def plain(value):
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [plain(one) for one in value.array_value.values]
    if kind == "kvlist_value":
        return attributes(value.kvlist_value.values)
    if kind == "bytes_value":
        return value.bytes_value.hex()
    return getattr(value, kind)


def attributes(pairs):
    return {pair.key: plain(pair.value) for pair in pairs}


def told(span, resource, scope):
    return {
        "name": span.name,
        "span_id": span.span_id.hex(),
        "parent_span_id": span.parent_span_id.hex(),
        "kind": trace_pb2.Span.SpanKind.Name(span.kind),
        "status": trace_pb2.Status.StatusCode.Name(span.status.code),
        "start": span.start_time_unix_nano,
        "end": span.end_time_unix_nano,
        "attributes": attributes(span.attributes),
        "resource": resource,
        "scope": scope,
    }


def keep(request):
    for process in request.resource_spans:
        resource = attributes(process.resource.attributes)
        for scope in process.scope_spans:
            for span in scope.spans:
                with lock:
                    trace = spans.setdefault(span.trace_id.hex(), [])
                    trace.append(told(span, resource, scope.scope.name))


class Exports(grpc.GenericRpcHandler):
    """The bytes of a request stay as they are: what is handed on is what came."""

    def __init__(self, following):
        self.hand_on = following.unary_unary(EXPORT) if following else None

    def service(self, call):
        if call.method != EXPORT:
            return None
        return grpc.unary_unary_rpc_method_handler(self.export)

    def export(self, sent, _):
        keep(trace_service_pb2.ExportTraceServiceRequest.FromString(sent))
        if self.hand_on:
            return self.hand_on(sent, timeout=10)
        return trace_service_pb2.ExportTraceServiceResponse().SerializeToString()


class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/healthz":
            return self.answer({})
        with lock:
            found = list(spans.get(self.path.removeprefix("/api/traces/"), []))
        return self.answer({"spans": found})

    def answer(self, content):
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main(grpc_port, http_port, following=None):
    channel = grpc.insecure_channel(following) if following else None
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    server.add_generic_rpc_handlers([Exports(channel)])
    server.add_insecure_port(f"[::]:{grpc_port}")
    server.start()
    ThreadingHTTPServer(("127.0.0.1", int(http_port)), Answers).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
