"""Capacity that is bought without Kubernetes: a webhook, and worker processes on this machine."""
