"""An embedded Kubernetes API server: kube-apiserver's behaviour for custom resources, in one Python process.

It judges the client library, so it shares no code with it: definitions come in as data, everything else is here.

    request  → http.py       routes.py what the URL is about · access.py who may · faults.py what goes wrong
             → resources.py  what each verb does with it: bodies.py in, responses.py out
             → cluster.py    create, update, patch, apply, delete; admission.py decodes, defaults and validates
             → store.py      objects, the one resourceVersion, the history
    watches.py reads the history · lists.py its snapshots · garbage.py clears up after deletions
    definitions.py turns CustomResourceDefinitions into kinds.py

Differs from kube-apiserver knowingly: no CEL cost budgets and static types, no URL/IP/quantity functions in CEL;
definitions are checked lightly; no conversion webhooks, scale subresource, admission plugins or RBAC objects; no
OpenAPI; core kinds are not validated beyond their metadata, and have Name and Age for columns in a Table.
"""

from .faults import Faults
from .server import EmbeddedServer

__all__ = ["EmbeddedServer", "Faults"]
