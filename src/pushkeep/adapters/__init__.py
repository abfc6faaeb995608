"""One technology in each module: everything that touches the world outside."""
