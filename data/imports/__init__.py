"""Files of other tools, turned into canonical rows: one format a file."""
