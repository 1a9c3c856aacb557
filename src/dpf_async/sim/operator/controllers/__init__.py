"""The controllers: each reads the cluster's picture, lets a pure function decide, and writes what it decided."""
