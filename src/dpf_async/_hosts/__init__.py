"""Flows of one host: register, provision, reprovision, delete."""
