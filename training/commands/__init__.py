"""The commands a data scientist types; each module is one `shaper` command."""
