"""Benchmarks: dpf_async, kubernetes_asyncio, lightkube and kr8s side by side in one run. `make bench`."""
