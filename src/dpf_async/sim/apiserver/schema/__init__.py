"""Structural schemas, validation and CEL rules."""
