"""A subscription's life, as browsers live it: the shipped SDK files against the real application, with the local push
service as the judge of what is alive."""
