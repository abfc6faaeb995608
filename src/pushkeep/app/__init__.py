"""The use cases, as plain functions on the ports."""
