"""The first page: where to go from here."""

from django.http import HttpRequest, HttpResponse

PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>batchapi demo</title>
<style>
  :root { color-scheme: light dark; font: 1rem/1.6 system-ui, sans-serif }
  body { max-width: 42rem; margin: 3rem auto; padding: 0 1rem }
  pre { overflow-x: auto; padding: 1rem; border: 1px solid; border-radius: .5rem }
</style>
<h1>batchapi demo</h1>
<p>A small chat API. Log in to the <a href="/admin/">admin</a>, then look at
<a href="/api/sessions/">sessions</a>, <a href="/api/stats/">stats</a> or <a href="/api/users/me/">yourself</a>.</p>
<p>Ask for all of them at once:</p>
<pre>POST /api/batch/
Content-Type: application/json

{"requests": [
  {"id": "me", "url": "/api/users/me/"},
  {"id": "sessions", "url": "/api/sessions/?page_size=3"},
  {"id": "stats", "url": "/api/stats/"}]}</pre>
"""


def home(request: HttpRequest) -> HttpResponse:
    """A page that needs no session, no database and no script."""
    return HttpResponse(PAGE)
