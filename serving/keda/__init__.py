"""KEDA asks here how much capacity the plan orders: its external scaler protocol over gRPC."""
