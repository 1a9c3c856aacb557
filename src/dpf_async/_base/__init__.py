"""Shared building blocks that know nothing of DPF and do no I/O: task groups, locks, retries, error notes."""
