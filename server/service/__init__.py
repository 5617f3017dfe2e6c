"""What the gateway does with a request, in asyncio and in the words of the domain.

No grpc, no SQL, no tritonclient: the rest of the world is met through `server.domain.ports`.
"""
