"""Reports on a cluster: permissions, compatibility of its CRDs, the state of one host, and health monitoring."""
