"""A batch with an Idempotency-Key in, and each of its writes is done once, however often it is sent."""
