"""Closed-loop comparison of policies: the same orders, priced under each way of setting capacity."""
