"""kubectl on a simulated site: one that `dpfctl sim up` runs, and the same operator on a real API server."""
