"""Decisions as arithmetic: forecast to plan to decision, and the simulator that prices them."""
