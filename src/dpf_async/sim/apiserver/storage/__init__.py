"""Kinds, objects and their history."""
