"""The public API: grpc.aio and nothing else. Thin servicers; validate on the way in, convert on the way out."""
