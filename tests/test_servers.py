"""The servers that tests are given are real ones, and of their own."""

import psycopg
import redis


def test_redis_answers(redis_url: str):
    """A value that was set can be read, expires when told to, and a script runs."""
    with redis.Redis.from_url(redis_url) as client:
        assert client.set("answer", 42, ex=60)
        assert client.get("answer") == b"42"
        assert client.eval("return redis.call('TTL', KEYS[1])", 1, "answer") > 0


def test_postgres_answers(postgres_url: str):
    """It is a PostgreSQL that speaks UTF-8 and lets us create databases, as Django's test runner does."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)
        connection.execute("CREATE DATABASE one_of_ours")
        connection.execute("DROP DATABASE one_of_ours")
