"""Readers of the caches: waits, transition streams, health streams and progress reports."""
