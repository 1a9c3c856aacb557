"""CPU cost of decoding one watch event. `python -m benchmarks.decode`: prints µs per event as JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from benchmarks import dpus
from dpf_async._api.codec import Codec
from dpf_async._api.records import Envelope
from dpf_async.models import DPU

ROUNDS = 4_000


def cost(read: Callable[[bytes], Any], lines: list[bytes]) -> float:
    """µs of CPU per line."""
    for line in lines[:200]:
        read(line)
    started = time.process_time()
    for number in range(ROUNDS):
        read(lines[number % len(lines)])
    return (time.process_time() - started) / ROUNDS * 1e6


def main() -> None:
    """Decode the same lines as each client does, into an object with name, phase and conditions."""
    from box import Box  # noqa: PLC0415  kr8s builds one for every object
    from lightkube.generic_resource import create_namespaced_resource  # noqa: PLC0415

    from benchmarks.lightkube_typed import TypedDPU  # noqa: PLC0415

    codec = Codec(DPU)
    kind = create_namespaced_resource(dpus.GROUP, dpus.VERSION, dpus.KIND, dpus.PLURAL)

    def model(line: bytes) -> DPU:
        envelope = codec.read(line)
        assert isinstance(envelope, Envelope)
        return codec.state(envelope.object, line).object

    lines = [dpus.event(index, index) for index in range(500)]
    found = {
        "dpf_async": cost(codec.read, lines),
        "dpf_async (full model)": cost(model, lines),
        "kubernetes_asyncio": cost(lambda line: json.loads(json.dumps(json.loads(line)["object"])), lines),
        "kubernetes_asyncio (partial)": cost(lambda line: json.loads(line)["object"], lines),
        "lightkube": cost(lambda line: kind.from_dict(json.loads(line)["object"]), lines),
        "lightkube (manually written types)": cost(
            lambda line: TypedDPU.from_dict(json.loads(line)["object"]), lines
        ),
        "kr8s": cost(lambda line: Box(json.loads(line)["object"]), lines[:50]),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
