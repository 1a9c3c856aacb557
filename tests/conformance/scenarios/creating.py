"""Creating objects: valid and invalid bodies and names, defaulting and pruning."""

from __future__ import annotations

from typing import Final

from tests.conformance.exchanges import YAML, create, delete, get, scenario
from tests.conformance.kinds import GADGETS, GROUP, VERSIONED, WIDGETS, gadget, widget

__all__ = ["SCENARIOS"]

_CONFIG_MAPS: Final = "/api/v1/namespaces/{ns}/configmaps"
_SECRETS: Final = "/api/v1/namespaces/{ns}/secrets"

SCENARIOS: Final = (
    scenario(
        "create-plain",
        create("made", WIDGETS, widget()),
        get("read", f"{WIDGETS}/a"),
        create("again", WIDGETS, widget()),
        get("missing", f"{WIDGETS}/b"),
        create("dry-run", WIDGETS, widget("dry"), dryRun="All"),
        get("dry-run-left-nothing", f"{WIDGETS}/dry"),
        create("dry-run-again", WIDGETS, widget(), dryRun="All"),
        create("generated", WIDGETS, widget("", generateName="generated-")),
        create("no-name", WIDGETS, widget("")),
        create("named-and-generated", WIDGETS, widget("both", generateName="generated-")),
        create("manager", WIDGETS, widget("managed"), fieldManager="me"),
        create("pretty", WIDGETS, widget("pretty"), pretty="true"),
        create("gone-namespace", f"/apis/{GROUP}/v1/namespaces/no-such/widgets", widget()),
        create("to-an-item", f"{WIDGETS}/a", widget()),
        create("of-all-namespaces", f"/apis/{GROUP}/v1/widgets", widget()),
        create("gadget", GADGETS, gadget("{ns}-g", {"anything": {"goes": [1, None, 1.5]}})),
        create("gadget-in-a-namespace", GADGETS, gadget("{ns}-h", namespace="{ns}")),
        delete("gadget-gone", f"{GADGETS}/{{ns}}-g"),
        get("gadget-missing", f"{GADGETS}/{{ns}}-g"),
    ),
    scenario(
        "create-system-fields",
        create(
            "set-by-client",
            WIDGETS,
            widget(
                uid="0b5fbf35-0c1e-4a5f-8f7b-000000000000",
                creationTimestamp="2001-01-01T00:00:00Z",
                generation=17,
                deletionTimestamp="2001-01-01T00:00:00Z",
                selfLink="/x",
                deletionGracePeriodSeconds=3,
            ),
        ),
        create("version", WIDGETS, widget("b", resourceVersion="7")),
        create("version-zero", WIDGETS, widget("c", resourceVersion="0")),
        create("version-text", WIDGETS, widget("c2", resourceVersion="x")),
        create("status", WIDGETS, {**widget("d"), "status": {"phase": "Done"}}),
        create("own-managed-fields", WIDGETS, widget("e", managedFields=[])),
        create("null-metadata", WIDGETS, {**widget("f"), "metadata": None}),
        create("metadata-list", WIDGETS, {**widget("f"), "metadata": []}),
        create("labels-number", WIDGETS, widget("g", labels={"a": 1})),
        create("name-number", WIDGETS, {**widget(), "metadata": {"name": 7}}),
        create("labels-null", WIDGETS, widget("h", labels=None, annotations={"a": None})),
        create("unknown-metadata", WIDGETS, widget("i", wrong=1)),
        create("generation-negative", WIDGETS, widget("j", generation=-1)),
    ),
    scenario(
        "create-bodies",
        create("empty", WIDGETS, ""),
        create("no-json", WIDGETS, "{"),
        create("no-json-2", WIDGETS, '{"kind": x}'),
        create("trailing", WIDGETS, '{"kind": "Widget"} {}'),
        create("list", WIDGETS, []),
        create("text", WIDGETS, '"x"'),
        create("null", WIDGETS, "null"),
        create("no-kind", WIDGETS, {"apiVersion": f"{GROUP}/v1", "metadata": {"name": "x"}}),
        create("no-api-version", WIDGETS, {"kind": "Widget", "metadata": {"name": "x"}}),
        create("other-kind", WIDGETS, {**widget(), "kind": "Gadget"}),
        create("other-version", WIDGETS, {**widget(), "apiVersion": f"{GROUP}/v2"}),
        create("other-group", WIDGETS, {**widget(), "apiVersion": "example.org/v1"}),
        create("other-namespace", WIDGETS, widget(namespace="default")),
        create("xml", WIDGETS, "<a/>", content_type="application/xml"),
        create("protobuf", WIDGETS, "x", content_type="application/vnd.kubernetes.protobuf"),
        create(
            "yaml",
            WIDGETS,
            f"apiVersion: {GROUP}/v1\nkind: Widget\nmetadata: {{name: y}}\nspec:\n  size: 4\n",
            content_type=YAML,
        ),
        create(
            "as-yaml",
            WIDGETS,
            widget("z", {"label": "yes", "options": {"a": "1", "b": "true"}}),
            accept=YAML,
        ),
        create(
            "yaml-duplicate",
            WIDGETS,
            f"apiVersion: {GROUP}/v1\nkind: Widget\nmetadata: {{name: yd}}\nspec:\n  size: 4\n  size: 5\n",
            content_type=YAML,
        ),
        create("yaml-broken", WIDGETS, "a: b: c", content_type=YAML),
        create(
            "duplicate-fields",
            WIDGETS,
            f'{{"apiVersion":"{GROUP}/v1","kind":"Widget","metadata":{{"name":"dup"}},"spec":{{"size":1,"size":2}}}}',
        ),
        create("unknown-field", WIDGETS, widget("u", {"size": 1, "wrong": {"a": 1}, "other": 2})),
        create(
            "unknown-strict", WIDGETS, widget("u2", {"wrong": 1, "free": {"ok": 1}}), fieldValidation="Strict"
        ),
        create("unknown-ignored", WIDGETS, widget("u3", {"wrong": 1}), fieldValidation="Ignore"),
        create("unknown-validation", WIDGETS, widget("u4"), fieldValidation="Perhaps"),
        create("dry-run-wrong", WIDGETS, widget("u5"), dryRun="Some"),
        create("manager-long", WIDGETS, widget("u6"), fieldManager="m" * 129),
        create("manager-unprintable", WIDGETS, widget("u7"), fieldManager="a%01b"),
        create("accept-html", WIDGETS, widget("u8"), accept="text/html"),
        create("accept-anything", WIDGETS, widget("u9"), accept="text/html,*/*"),
    ),
    scenario(
        "create-defaults",
        create("nested", WIDGETS, widget("a", {})),
        create("parts", WIDGETS, widget("b", {"parts": [{"name": "x"}, {"name": "y", "count": 2}]})),
        create("nullable", WIDGETS, widget("c", {"count": None, "colour": None, "label": None})),
        create("inner-null", WIDGETS, widget("d", {"nested": {"inner": None}})),
        create("inner-empty", WIDGETS, widget("e", {"nested": {"inner": {}}})),
        create("numbers", WIDGETS, widget("f", {"size": 2.0, "weight": 3, "port": 80})),
        create("numbers-2", WIDGETS, widget("g", {"weight": 1.5, "port": "http"})),
        create("free", WIDGETS, widget("h", {"free": {"a": None, "b": [None, {}], "c": 1e3, "d": 1.0}})),
        create("escapes", WIDGETS, widget("i", {"options": {"a<b": "&>\u2028é"}})),
        create("versioned", VERSIONED, {**gadget("a", {"x": 1}), "kind": "Versioned"}),
        get("as-beta", f"/apis/{GROUP}/v1beta1/namespaces/{{ns}}/versioneds/a"),
        create(
            "beta",
            f"/apis/{GROUP}/v1beta1/namespaces/{{ns}}/versioneds",
            {"apiVersion": f"{GROUP}/v1beta1", "kind": "Versioned", "metadata": {"name": "b"}},
        ),
        get("beta-as-v1", f"{VERSIONED}/b"),
    ),
    scenario(
        "create-names",
        create("capitals", WIDGETS, widget("Abc")),
        create("long", WIDGETS, widget("a" * 254)),
        create("slash", WIDGETS, widget("a/b")),
        create("generate-bad", WIDGETS, widget("", generateName="Generated-")),
        create("label-key", WIDGETS, widget(labels={"a b": "c", "x/y/z": "1", "/q": "", "B.c/": "v"})),
        create("label-value", WIDGETS, widget(labels={"a": "not good", "b": "x" * 64})),
        create("annotation-key", WIDGETS, widget(annotations={"not good": "v"})),
        create("annotations-large", WIDGETS, widget(annotations={"a": "x" * (256 * 1024 + 1)})),
        create("finalizer-bad", WIDGETS, widget(finalizers=["not good", "plain", "example.com/ok"])),
        create("finalizers-both", WIDGETS, widget(finalizers=["orphan", "foregroundDeletion"])),
        create("finalizer-plain", WIDGETS, widget("f", finalizers=["plain"])),
        create("finalizer-twice", WIDGETS, widget("f2", finalizers=["example.com/x", "example.com/x"])),
        create("several", WIDGETS, widget("Bad", {"size": 0}, labels={"a b": "c d"})),
    ),
    scenario(
        "create-core",
        create("config-map", _CONFIG_MAPS, {"metadata": {"name": "a"}, "data": {"k": "v"}}),
        get("read", f"{_CONFIG_MAPS}/a"),
        create(
            "secret", _SECRETS, {"metadata": {"name": "s"}, "stringData": {"k": "v"}, "data": {"l": "eA=="}}
        ),
        create("secret-not-base64", _SECRETS, {"metadata": {"name": "s2"}, "data": {"l": "%%"}}),
        create("other-kind", _CONFIG_MAPS, {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "b"}}),
        create("unknown-field", _CONFIG_MAPS, {"metadata": {"name": "c"}, "wrong": 1}),
        create(
            "unknown-strict", _CONFIG_MAPS, {"metadata": {"name": "d"}, "wrong": 1}, fieldValidation="Strict"
        ),
        create("bad-name", _CONFIG_MAPS, {"metadata": {"name": "A B"}}),
        create("namespace", "/api/v1/namespaces", {"metadata": {"name": "{ns}-x", "labels": {"a": "b"}}}),
        create("namespace-again", "/api/v1/namespaces", {"metadata": {"name": "{ns}-x"}}),
        create("namespace-bad", "/api/v1/namespaces", {"metadata": {"name": "A.b"}}),
        create(
            "lease",
            "/apis/coordination.k8s.io/v1/namespaces/{ns}/leases",
            {"metadata": {"name": "l"}, "spec": {"holderIdentity": "me", "leaseDurationSeconds": 15}},
        ),
        get("nothing-there", "/api/v1/namespaces/{ns}/nothings"),
        get("no-such-group", "/apis/no.such.group/v1/things"),
        get("no-such-version", f"/apis/{GROUP}/v9/widgets"),
    ),
)
