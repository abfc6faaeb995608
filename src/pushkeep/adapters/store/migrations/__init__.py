"""How the schema came to be, step by step."""

HEAD = "0005"
"""The newest revision; the database of this version of Pushkeep stands here."""
