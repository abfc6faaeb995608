"""Files that other products' subscriptions come in: one module a format, each from that product's own schema."""
