"""What happened, and when it was knowable: canonical tables, timeline, features, simulated world."""
