"""The first page leads somewhere: each of its links exists, and the batch that it shows is one that works."""

import html
import re

import pytest
from django.test import Client
from django.urls import resolve

from tests.factories import UserFactory

pytestmark = [pytest.mark.urls("project.urls"), pytest.mark.django_db]


def test_every_link_leads_to_a_view(client: Client):
    links = re.findall(r'href="([^"]+)"', client.get("/").content.decode())
    assert len(links) == 4
    assert all(resolve(link, "project.urls") for link in links)


def test_the_batch_that_it_shows_works(client: Client):
    client.force_login(UserFactory())
    shown = html.unescape(re.search(r"\{\"requests.*\]\}", client.get("/").content.decode(), re.DOTALL)[0])
    answer = client.post("/api/batch/", shown, content_type="application/json")
    assert [response["status"] for response in answer.json()["responses"]] == [200, 200, 200]
