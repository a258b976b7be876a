"""The paths of administration, one module per concern; `serving.api` puts them together."""
