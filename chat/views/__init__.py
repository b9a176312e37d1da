"""Requests in, answers out: one module for each noun of the chat API."""
