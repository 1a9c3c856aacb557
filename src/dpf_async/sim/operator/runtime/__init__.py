"""A small controller runtime: queue, cache, patches, conditions, names."""
