"""Query parameters: the options of lists, watches, writes and deletions, with Kubernetes' validation messages.

Source: apimachinery pkg/apis/meta/internalversion/validation and pkg/apis/meta/v1/validation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from multidict import MultiMapping

from dpf_async.sim.apiserver.apply.patches import APPLY_PATCH
from dpf_async.sim.apiserver.cluster.requests import DeleteOptions, WriteOptions
from dpf_async.sim.apiserver.wire import field_errors, status
from dpf_async.sim.apiserver.wire.field_errors import FieldError
from dpf_async.sim.apiserver.wire.status import GroupResource, StatusError

NOT_OLDER_THAN, EXACT = "NotOlderThan", "Exact"
_MAX_MANAGER_BYTES = 128
_POLICIES = ("Foreground", "Background", "Orphan", "nil")


Query = MultiMapping[str]


@dataclass(frozen=True, slots=True)
class ListOptions:
    """The options of a list or watch."""

    resource_version: str = ""
    match: str = ""
    limit: int = 0
    continue_token: str = ""
    label_selector: str = ""
    field_selector: str = ""
    watch: bool = False
    bookmarks: bool = False
    send_initial_events: bool | None = None
    timeout: float = 0.0


def list_options(query: Query) -> ListOptions:
    """Read the options of a list or watch.

    Raises:
        StatusError: 400 or 422.
    """
    options = ListOptions(
        resource_version=query.get("resourceVersion", ""),
        match=query.get("resourceVersionMatch", ""),
        limit=max(0, _integer(query.get("limit", ""))),
        continue_token=query.get("continue", ""),
        label_selector=query.get("labelSelector", ""),
        field_selector=query.get("fieldSelector", ""),
        watch=_flag(query, "watch"),
        bookmarks=_flag(query, "allowWatchBookmarks"),
        send_initial_events=_flag(query, "sendInitialEvents") if "sendInitialEvents" in query else None,
        timeout=float(_integer(query.get("timeoutSeconds", ""))),
    )
    errors = _watch_errors(options) if options.watch else _list_errors(options)
    _raise("ListOptions", errors)
    return options


def of_one_object(options: ListOptions, name: str) -> ListOptions:
    """Restrict a watch to the object in the path."""
    selector = ",".join(filter(None, (options.field_selector, f"metadata.name={name}")))
    return replace(options, field_selector=selector)


def _list_errors(options: ListOptions) -> list[FieldError]:
    errors = []
    path, match = "resourceVersionMatch", options.match
    if match:
        if not options.resource_version:
            text = "resourceVersionMatch is forbidden unless resourceVersion is provided"
            errors.append(field_errors.field_forbidden(path, text))
        if options.continue_token:
            text = "resourceVersionMatch is forbidden when continue is provided"
            errors.append(field_errors.field_forbidden(path, text))
        if match not in (EXACT, NOT_OLDER_THAN):
            errors.append(field_errors.not_supported(path, match, (EXACT, NOT_OLDER_THAN, "")))
        if match == EXACT and options.resource_version == "0":
            text = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
            errors.append(field_errors.field_forbidden(path, text))
    if options.send_initial_events is not None:
        errors.append(
            field_errors.field_forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list")
        )
    return errors


def _watch_errors(options: ListOptions) -> list[FieldError]:
    errors = []
    path, match = "resourceVersionMatch", options.match
    if options.send_initial_events is not None and match != NOT_OLDER_THAN:
        text = f"sendInitialEvents requires setting resourceVersionMatch to {NOT_OLDER_THAN}"
        errors.append(field_errors.field_forbidden(path, text))
    if match:
        if options.send_initial_events is None:
            text = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            errors.append(field_errors.field_forbidden(path, text))
        if match != NOT_OLDER_THAN:
            errors.append(field_errors.not_supported(path, match, (NOT_OLDER_THAN,)))
        if options.continue_token:
            text = "resourceVersionMatch is forbidden when continue is provided"
            errors.append(field_errors.field_forbidden(path, text))
    return errors


def write_options(query: Query, user_agent: str, *, what: str, patch_type: str = "") -> WriteOptions:
    """Read the options of a create, update or patch; what is their kind in errors (CreateOptions, …)."""
    dry_run = query.getall("dryRun", [])
    manager = query.get("fieldManager", "")
    validation = query.get("fieldValidation", "")
    errors: list[FieldError] = []
    if patch_type == APPLY_PATCH and not manager:
        errors.append(field_errors.required("fieldManager", "is required for apply patch"))
    if patch_type not in ("", APPLY_PATCH) and "force" in query:
        errors.append(field_errors.field_forbidden("force", "may not be specified for non-apply patch"))
    if len(manager.encode()) > _MAX_MANAGER_BYTES:
        errors.append(field_errors.too_long("fieldManager", _MAX_MANAGER_BYTES))
    for position, char in enumerate(manager):
        if not char.isprintable():
            text = f"invalid character U+{ord(char):04X} (at position {position})"
            errors.append(field_errors.invalid("fieldManager", manager, text))
    errors += _dry_run_errors(dry_run)
    if validation not in ("", "Ignore", "Strict", "Warn"):
        errors.append(
            field_errors.not_supported("fieldValidation", validation, ("", "Ignore", "Strict", "Warn"))
        )
    _raise(what, errors)
    return WriteOptions(
        dry_run=bool(dry_run),
        field_manager=manager,
        user_agent=user_agent,
        field_validation=validation or "Warn",
        force=_flag(query, "force"),
    )


def delete_options(query: Query, body: Mapping[str, Any] | None) -> DeleteOptions:
    """Read the options of a deletion from its body or, without a body, from the query."""
    given: Mapping[str, Any] = body if body is not None else _delete_query(query)
    policy, orphan = given.get("propagationPolicy"), given.get("orphanDependents")
    errors: list[FieldError] = []
    if orphan is not None and policy is not None:
        text = "orphanDependents and deletionPropagation cannot be both set"
        errors.append(field_errors.invalid("propagationPolicy", policy, text))
    if policy is not None and policy not in _POLICIES[:3]:
        errors.append(field_errors.not_supported("propagationPolicy", policy, _POLICIES))
    dry_run = given.get("dryRun") or []
    errors += _dry_run_errors(dry_run)
    _raise("DeleteOptions", errors)
    if orphan is not None:
        policy = "Orphan" if orphan else "Background"
    preconditions = given.get("preconditions") or {}
    return DeleteOptions(
        propagation=policy,
        uid=preconditions.get("uid"),
        resource_version=preconditions.get("resourceVersion"),
        dry_run=bool(dry_run),
    )


def _delete_query(query: Query) -> Mapping[str, Any]:
    given: dict[str, Any] = {"dryRun": query.getall("dryRun", [])}
    if "propagationPolicy" in query:
        given["propagationPolicy"] = query["propagationPolicy"]
    if "orphanDependents" in query:
        given["orphanDependents"] = _flag(query, "orphanDependents")
    return given


def parse_resource_version(text: str) -> int:
    """Parse the resourceVersion of a query.

    Raises:
        StatusError: 500 without a reason, as Kubernetes answers a get or watch with a malformed one
            (docs/watching.md#versions).
    """
    if text.isascii() and text.isdigit():
        return int(text)
    problem = f"strconv.ParseUint: parsing {field_errors.go_value(text)}: invalid syntax"
    raise status.internal(str(field_errors.invalid("resourceVersion", text, problem)))


def _dry_run_errors(dry_run: list[str]) -> list[FieldError]:
    if all(value == "All" for value in dry_run):
        return []
    return [field_errors.not_supported("dryRun", dry_run, ("All",))]


def _raise(what: str, errors: list[FieldError]) -> None:
    if errors:
        raise status.invalid_object(GroupResource("meta.k8s.io", what), "", errors)


def _flag(query: Query, name: str) -> bool:
    return name in query and query.get(name, "").lower() not in ("false", "0")


def _integer(text: str) -> int:
    if not text:
        return 0
    try:
        return int(text)
    except ValueError:
        raise _bad_integer(text) from None


def _bad_integer(text: str) -> StatusError:
    return status.bad_request(f"strconv.ParseInt: parsing {field_errors.go_value(text)}: invalid syntax")
