"""A growing history: partitioned parquet that any number of writers append to, and what is known of its coverage."""
