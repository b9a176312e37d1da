"""Bytes in, decoded data out, and back: one pair of DRF parser and renderer per format."""
