"""Writes and reads of objects, admission, garbage collection and CRDs, without HTTP."""
