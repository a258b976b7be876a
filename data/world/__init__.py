"""A seeded world that never happened, written as canonical tables."""
