"""The Open Inference Protocol, version 2: the served model for any KServe-style client."""
