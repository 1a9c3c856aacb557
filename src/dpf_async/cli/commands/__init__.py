"""The verbs, one module for each verb or group of verbs."""
