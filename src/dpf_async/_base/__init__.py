"""Building blocks without DPF and without I/O: tasks, concurrent waits, locks, retries, names, error notes."""
