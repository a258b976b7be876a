"""The API over gRPC: the same content as the REST paths, behind the extra `grpc`."""
