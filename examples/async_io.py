"""Asks a slow service, as often at once as it is called."""

import asyncio
from collections.abc import AsyncIterator

from pyproc import expose


@expose
async def fetch(port: int, page: int) -> str:
    """Wait for one page."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"{page}\n".encode())
        line = await reader.readline()
        return line.decode().strip()
    finally:
        # Also when the caller has gone: then the wait ends here.
        writer.close()


@expose
async def fetch_all(port: int, pages: int) -> AsyncIterator[str]:
    """Yield pages as they come, whichever is first."""
    fetches = [fetch(port, page) for page in range(pages)]
    for fetched in asyncio.as_completed(fetches):
        yield await fetched
