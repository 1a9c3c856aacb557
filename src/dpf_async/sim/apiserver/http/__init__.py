"""Verbs, lists, watches and tables over HTTP."""
