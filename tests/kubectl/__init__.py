"""kubectl on a simulated site: one that `dpf-async sim up` runs, and the same operator on a real API server."""
