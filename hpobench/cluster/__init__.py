"""Launching studies on clusters: thin wrappers over Ray's own commands and its job API."""
