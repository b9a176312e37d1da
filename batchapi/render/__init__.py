"""Sub-responses in, the answer out, in the client's order; a refusal in, a problem out."""

from batchapi.render.answer import render_batch
from batchapi.render.error import render_error

__all__ = ["render_batch", "render_error"]
