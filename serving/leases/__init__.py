"""How many sidecars share one capacity: leases in Redis or Valkey, and a safe share for each that cannot reach it."""
