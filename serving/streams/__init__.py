"""Rows from message brokers: each message is a body as `POST /v1/observations` takes it."""
