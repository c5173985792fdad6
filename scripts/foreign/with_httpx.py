"""Requests over HTTP/2 with httpx, to the server at the first argument: fails if one is not answered
as expected. With a second argument, the authority's certificate, over TLS."""

import asyncio
import ssl
import sys

import httpx

url, *authority = sys.argv[1:]
verify = ssl.create_default_context(cafile=authority[0]) if authority else True


def expect(actual, wanted):
    assert actual == wanted, f"{actual!r:.200} instead of {wanted!r:.200}"


async def main():
    limits = httpx.Limits(max_connections=1)
    async with httpx.AsyncClient(http1=False, http2=True, verify=verify, base_url=url, timeout=20,
                                 limits=limits) as client:
        small = await client.get("/hello.txt")
        expect((small.http_version, small.status_code, small.content), ("HTTP/2", 200, b"Hello World\n"))
        head = await client.head("/hello.txt")
        expect((head.status_code, head.headers["content-length"], head.content), (200, "12", b""))
        part = await client.get("/hello.txt", headers={"Range": "bytes=6-10"})
        expect((part.status_code, part.content), (206, b"World"))
        same = await client.get("/hello.txt", headers={"If-None-Match": small.headers["etag"]})
        expect((same.status_code, same.content), (304, b""))
        expect((await client.get("/nothing")).status_code, 404)
        # Beyond the first window of a stream, for whose growth httpx waits although it has a response.
        expect((await client.post("/hello.txt", content=bytes(200_000))).status_code, 405)
        many = await asyncio.gather(*[client.get("/hello.txt") for _ in range(200)])
        expect({response.content for response in many}, {b"Hello World\n"})
        big = await client.get("/big.bin")
        expect(len(big.content), int(big.headers["content-length"]))


asyncio.run(main())
