"""An embedded Kubernetes API server: kube-apiserver's behaviour for custom resources, in one Python process.

It judges the client library, so it shares no code with it: definitions come in as data, everything else is here.

    request  → http.py       routes.py what the URL is about · access.py who may · faults.py what goes wrong
             → resources.py  what each verb does with it: bodies.py in, representations.py and responses.py out
             → cluster.py    create, update, patch, apply, delete; admission.py decodes, defaults and validates
             → store.py      objects, the one resourceVersion, the history
    watches.py reads the history · lists.py its snapshots · garbage.py clears up after deletions
    definitions.py turns CustomResourceDefinitions into kinds.py · core_kinds.py has those that need none
    discovery.py and openapi.py tell what kinds there are

It is held against a real kube-apiserver by tests/conformance. What it does otherwise, or not at all, is listed in
docs/embedded-server.md.
"""

from dpf_async.sim.apiserver.faults import Faults
from dpf_async.sim.apiserver.server import EmbeddedServer

__all__ = ["EmbeddedServer", "Faults"]
