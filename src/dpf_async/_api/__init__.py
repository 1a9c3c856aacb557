"""Authenticated HTTP to one Kubernetes API server: decodes bytes to records and maps Status objects to errors.

Reading order: lines (bytes to lines), records and codec (lines to records), paths (URLs), status (answers to
errors), config (address and credentials), transport (HTTP), resource (typed CRUD), feed (list and watch requests).
"""
