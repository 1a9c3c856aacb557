"""The controllers: each reads the caches, computes a decision in a pure function, and writes the result."""
