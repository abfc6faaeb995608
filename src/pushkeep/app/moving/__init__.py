"""Moving in: the import of a file, whatever its format."""
