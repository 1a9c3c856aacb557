"""Bytes and messages of the Kubernetes API: JSON, YAML, protobuf, Status, selectors."""
