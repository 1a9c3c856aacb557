"""Simulated DPUs and BMCs, timing profiles and simulated troubles."""
