"""A client of Loupe, the model server for graded visual inspection.

from pathlib import Path
from loupe import LoupeClient

with LoupeClient("127.0.0.1:50051") as client:
    answer = client.inspect(Path("photo.jpg"), task="cannabis")
"""

from loupe.client import AsyncLoupeClient, LoupeClient
from loupe.errors import LoupeError
from loupe.options import ClientOptions, InspectFields, Tls, inspect_request
from loupe.retry import Retry

__all__ = [
    "AsyncLoupeClient",
    "ClientOptions",
    "InspectFields",
    "LoupeClient",
    "LoupeError",
    "Retry",
    "Tls",
    "inspect_request",
]
