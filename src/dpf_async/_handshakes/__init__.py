"""Answers to DPF's two requests (external reboot, node effect hold), and the leases that say who may answer."""
