"""No secret is ever shown: everything that is written while the tests run is searched for every secret they made."""
