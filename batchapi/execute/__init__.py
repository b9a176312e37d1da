"""A Plan in, one response for every sub-request out."""
