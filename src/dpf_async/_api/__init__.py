"""Authenticated HTTP to one Kubernetes API server: from bytes to records, and from Status to errors.

Reading order: lines (bytes to lines), records and codec (lines to records), paths (what to ask), status (what the
answer means), config (where and who), transport (the wire), resource (typed CRUD), feed (what a watch needs).
"""
