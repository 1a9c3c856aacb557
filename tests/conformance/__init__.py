"""Comparison of the embedded API server with a real kube-apiserver: it sends the same requests to both.

    scenarios/       the requests, as data: each scenario is a sequence of exchanges in its own namespace
    exchanges.py     the functions that scenarios are written with
    servers.py       sends one exchange to one server
    masks.py         masks values that differ between any two servers: uids, times, resourceVersions
    comparison.py    compares two answers
    differences.py   the known differences (differences.toml), and their table in docs/embedded-server.md
    runner.py        runs the scenarios and compares the answers

`python -m tests.conformance` prints a summary; test_conformance.py fails on a new difference, and on a known
difference that was not found.
"""
