"""The embedded API server held against a real kube-apiserver: the same requests to both, every answer compared.

    scenarios/       what is asked, as data: each scenario is a sequence of exchanges in a namespace of its own
    exchanges.py     the words that scenarios are written in
    servers.py       sends one exchange to one server
    masks.py         hides what no two servers have in common: uids, times, resourceVersions
    comparison.py    what differs
    differences.py   which differences are known (differences.toml), and docs/embedded-server.md
    runner.py        all of it together

`python -m tests.conformance` prints a summary; test_conformance.py fails on a new difference and on a
known one that is gone.
"""
