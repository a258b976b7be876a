"""The chain that fees are bid on, as its newest blocks show it."""
