"""The page that shows what the sidecar sees and does, and where an operator takes over."""
