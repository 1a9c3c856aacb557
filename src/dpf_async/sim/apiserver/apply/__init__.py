"""Patches, managedFields and server-side apply."""
