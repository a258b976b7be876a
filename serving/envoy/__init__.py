"""Envoy as a data plane: weights and switches over xDS, quotas over RLQS, demand read back from its reports."""
