"""A zoo of views that Django and DRF allow, each a few lines: whatever one of them does, a batch must do the same.

What a view does beside the database (a hook that ran, a look-up that was made) it tells `happened`.
"""

happened: list[str] = []
