"""The HTTP interface: browser routes, server API, SDK files and the demo page, as one ASGI application."""
