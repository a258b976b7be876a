"""HAProxy as a data plane: its configuration, its runtime socket, and plans put into force through it."""
