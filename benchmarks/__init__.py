"""Benchmarks: dpf_async side by side with kubernetes_asyncio, lightkube and kr8s, in one run. `make bench`."""
