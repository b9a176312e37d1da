"""Decoded wire data in, a Batch out. Refuses a batch that makes no sense before anything runs."""

from batchapi.parse.envelope import parse_batch

__all__ = ["parse_batch"]
