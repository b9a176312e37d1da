"""Every figure that the README claims, reproducible: `python -m benchmarks`."""
