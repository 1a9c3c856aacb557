"""kubectl on a simulated site: on `dpf-async sim up`, and on a real API server with the simulated operator."""
