"""An embedded Kubernetes API server: the behavior of kube-apiserver for custom resources, in one Python process.

The client library is tested with it, so it shares no code with the client library; CRDs are passed in as data.

    http_server.py   HTTP: one request, one response or watch stream; faults.py simulates failures
    http/            routes, permissions, options and bodies of requests; lists, watches, tables and responses
    openapi/         discovery and OpenAPI documents
    cluster/         create, update, patch, apply and delete; admission; garbage collection; CRDs
    storage/         the registry of kinds, objects, the global resourceVersion and the history of events
    apply/           patches, managedFields and server-side apply
    schema/          structural schemas, validation and CEL rules
    wire/            JSON, YAML, protobuf, Status objects and selectors

Each package imports only the packages below it. tests/conformance compares the server with a real kube-apiserver;
docs/embedded-server.md lists the differences.
"""

from dpf_async.sim.apiserver.faults import Faults
from dpf_async.sim.apiserver.server import EmbeddedServer

__all__ = ["EmbeddedServer", "Faults"]
