"""Requests that are answered on their connection itself, past the ASGI server: inference, and what is cached."""
