"""The push service and the sender that its own tests use."""

from tests.pushservice.conftest import sender, service

__all__ = ["sender", "service"]
