"""Lists: the state that they return, and pages of one consistent snapshot.

Source: docs/watching.md#versions, docs/watching.md#pages, apiserver pkg/storage/continue.go and
storage/etcd3/errors.go.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass

from dpf_async.sim.apiserver.cluster.cluster import Cluster
from dpf_async.sim.apiserver.cluster.requests import Target
from dpf_async.sim.apiserver.http.options import EXACT, ListOptions, parse_resource_version
from dpf_async.sim.apiserver.storage.store import Collection, path_of
from dpf_async.sim.apiserver.wire import status
from dpf_async.sim.apiserver.wire.codec import Obj, encode_plain
from dpf_async.sim.apiserver.wire.json_errors import syntax_error
from dpf_async.sim.apiserver.wire.selectors import Selection, parse
from dpf_async.sim.apiserver.wire.status import StatusError

_INCONSISTENT = -1
_EXPIRED = "The resourceVersion for the provided list is too old."
_CONTINUE_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list "
    "without the continue parameter, or use the continue token in this response to retrieve the remainder of "
    "the results. Continuing with the provided token results in an inconsistent list - objects that were "
    "created, modified, or deleted between the time the first chunk was returned and now may show up in the list."
)


# kubectl describe selects the events of an object by these.
# Source: kubernetes pkg/apis/core/v1/conversion.go AddFieldLabelConversionsForEvent.
_EVENT_FIELDS = (
    *(
        f"involvedObject.{name}"
        for name in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
    ),
    "reason",
    "reportingComponent",
    "type",
)


def selection_of(target: Target, options: ListOptions) -> Selection:
    """Parse the selectors of a request.

    Raises:
        StatusError: 400.
    """
    known = ["metadata.name", *target.version.selectable]
    if target.kind.namespaced or not target.kind.custom:
        known.append("metadata.namespace")
    if target.kind.plural == "secrets":
        known.append("type")
    if target.kind.plural == "events":
        known += _EVENT_FIELDS
    return parse(options.label_selector, options.field_selector, known, custom=target.kind.custom)


@dataclass(frozen=True, slots=True)
class _Page:
    at: int | None  # the resourceVersion of the snapshot, None for the current state
    start: str  # the first path
    version: int  # the resourceVersion of the list


def wanted_version(options: ListOptions) -> int:
    """The resourceVersion that must exist before the list can be answered; 0 for none.

    Raises:
        StatusError: 400, the resourceVersion is malformed.
    """
    if options.continue_token or options.resource_version in ("", "0"):
        return 0
    try:
        return parse_resource_version(options.resource_version)
    except StatusError as error:
        raise status.bad_request(f"invalid resource version: {error.message}") from None


def list_objects(cluster: Cluster, target: Target, options: ListOptions) -> Obj:
    """List objects.

    Raises:
        StatusError: 400, or 410 expired.
    """
    selection = selection_of(target, options)
    # A list at resourceVersion 0 is served from the watch cache, which has no pages.
    limit = 0 if options.resource_version == "0" else options.limit
    collection = cluster.store.collection(target.resource)
    page = _page(cluster, collection, options)
    prefix = f"{target.namespace}/" if target.namespace else ""
    items: list[Obj] = []
    remaining = 0
    next_start = ""
    last = ""
    for key, obj in cluster.store.list(target.resource, target.namespace, at=page.at):
        path = path_of(key).removeprefix(prefix)
        if path < page.start:
            continue
        if limit and len(items) == limit:
            # The token is sent even if the selector matches no further object.
            next_start = last + "\0"
            remaining += 1
            if selection:
                break
            continue
        shown = cluster.convert(target.kind, target.version, obj)
        if selection and not selection.matches(shown):
            continue
        items.append(_item(target, shown))
        last = path
    meta: Obj = {"resourceVersion": str(page.version)}
    if target.kind.custom:
        meta["continue"] = ""
    if next_start:
        meta["continue"] = _encode_token(page.version, next_start)
        if not selection:
            meta["remainingItemCount"] = remaining
    return {
        "apiVersion": target.kind.api_version(target.version.name),
        "kind": target.kind.list_name(),
        "metadata": meta,
        "items": items,
    }


def _item(target: Target, obj: Obj) -> Obj:
    """Remove the type from items of core kinds, as Go's typed lists do."""
    if target.kind.custom:
        return obj
    return {name: value for name, value in obj.items() if name not in ("apiVersion", "kind")}


def _page(cluster: Cluster, collection: Collection, options: ListOptions) -> _Page:
    now = cluster.store.revision
    if options.continue_token:
        version, start = _decode_token(options.continue_token)
        if options.resource_version not in ("", "0"):
            raise status.bad_request("specifying resource version is not allowed when using continue")
        if version == _INCONSISTENT:
            return _Page(None, start, now)
        if version < collection.floor:
            token = _encode_token(_INCONSISTENT, start)
            raise status.expired(_CONTINUE_EXPIRED, continue_token=token)
        return _Page(version, start, version)
    version = wanted_version(options)
    exact = options.match == EXACT or (options.limit > 0 and not options.match)
    if not version or not exact:
        return _Page(None, "", now)
    if version < collection.floor:
        raise status.expired(_EXPIRED)
    return _Page(version, "", version)


def _encode_token(version: int, start: str) -> str:
    document = encode_plain({"v": "meta.k8s.io/v1", "rv": version, "start": start})
    return base64.urlsafe_b64encode(document.encode()).decode().rstrip("=")


def _decode_token(token: str) -> tuple[int, str]:
    try:
        document = json.loads(
            base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        )
    except binascii.Error:
        raise _invalid_token("illegal base64 data at input byte 0") from None
    except json.JSONDecodeError as error:
        raise _invalid_token(syntax_error(error.doc, error)) from None
    except UnicodeDecodeError:
        raise _invalid_token("invalid character looking for beginning of value") from None
    if not isinstance(document, dict) or document.get("v") != "meta.k8s.io/v1":
        version = document.get("v", "") if isinstance(document, dict) else ""
        raise _invalid_token(f"server does not recognize this encoded version {version}")
    version, start = document.get("rv"), document.get("start")
    if not isinstance(version, int) or not version:
        raise _invalid_token("incorrect encoded start resourceVersion (version meta.k8s.io/v1)")
    if not isinstance(start, str) or not start:
        raise _invalid_token("encoded start key empty (version meta.k8s.io/v1)")
    return version, start


def _invalid_token(why: str) -> StatusError:
    return status.bad_request(f"invalid continue token: continue key is not valid: {why}")
