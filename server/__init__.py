"""The gateway: takes photos over gRPC, routes them through the cascade, calibrates and answers."""
