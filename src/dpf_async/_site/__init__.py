"""Describe a site, compare the description with the cluster, plan the changes and apply them."""
