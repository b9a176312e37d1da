"""The same paths as in views_private, in another URL configuration."""

from tests.cache.views_private import urlpatterns

__all__ = ["urlpatterns"]
