"""Who may open the page."""

import asyncio
import socket

import pytest

TOKEN = "a-token-of-the-site-0123"
ADDRESSES = ("/", "/app.js", "/api/scans", "/api/live", "/metrics", "/api/scans/x/maps.h5")


@pytest.mark.parametrize("address", ADDRESSES)
def test_with_a_token_nothing_is_open_without_it(address, tools):
    async def scenario():
        async with tools.open(http_token=TOKEN) as (_, client):
            status, body, headers = await tools.got(client, address)
            assert status == 401
            assert headers["WWW-Authenticate"] == "Bearer"
            assert TOKEN.encode() not in body
            for wrong in (f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer ", f"Basic {TOKEN}", TOKEN, "Bearer ü"):
                assert (await tools.got(client, address, headers={"Authorization": wrong}))[0] == 401

    asyncio.run(scenario())


@pytest.mark.parametrize("address", ["/healthz", "/readyz"])
def test_health_is_open_because_whoever_watches_a_container_has_no_token(address, tools):
    async def scenario():
        async with tools.open(http_token=TOKEN) as (_, client):
            assert (await tools.got(client, address))[0] == 200

    asyncio.run(scenario())


def test_programs_send_the_token_in_a_header(tools):
    async def scenario():
        async with tools.open(http_token=TOKEN, headers={"Authorization": f"Bearer {TOKEN}"}) as (_, client):
            for address in ("/", "/api/scans", "/metrics"):
                assert (await tools.got(client, address))[0] == 200

    asyncio.run(scenario())


def test_a_browser_gives_the_token_once_and_then_has_a_cookie(tools):
    async def scenario():
        async with tools.open(http_token=TOKEN) as (_, client):
            status, _, headers = await tools.got(client, "/?token=wrong")
            assert status == 401
            assert "Set-Cookie" not in headers
            status, _, headers = await tools.got(client, f"/?token={TOKEN}")
            assert (status, headers["Location"]) == (303, "/")
            cookie = headers["Set-Cookie"]
            assert "HttpOnly" in cookie
            assert "SameSite=Strict" in cookie
            assert TOKEN not in cookie
            # aiohttp's client keeps no cookies of addresses in numbers
            given = {"Cookie": cookie.partition(";")[0]}
            assert (await tools.got(client, "/", headers=given))[0] == 200
            assert (await tools.got(client, "/api/scans", headers=given))[0] == 200
            changed = {"Cookie": cookie.partition(";")[0][:-1] + "x"}
            assert (await tools.got(client, "/api/scans", headers=changed))[0] == 401

    asyncio.run(scenario())


def test_the_cookie_of_another_token_opens_nothing(tools):
    async def scenario():
        async with tools.open(http_token=TOKEN) as (_, client):
            cookie = (await tools.got(client, f"/?token={TOKEN}"))[2]["Set-Cookie"].partition(";")[0]
        async with tools.open(http_token=TOKEN + "-new") as (_, client):
            assert (await tools.got(client, "/", headers={"Cookie": cookie}))[0] == 401

    asyncio.run(scenario())


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example"])
def test_without_a_token_a_foreign_name_for_this_machine_opens_nothing(host, tools):
    async def scenario():
        async with tools.open() as (_, client):
            assert (await tools.got(client, "/api/scans", headers={"Host": host}))[0] == 403
            assert (await tools.got(client, "/", headers={"Host": host}))[0] == 403

    asyncio.run(scenario())


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080"])
def test_every_name_of_the_loopback_opens_the_page(host, tools):
    async def scenario():
        async with tools.open() as (_, client):
            assert (await tools.got(client, "/", headers={"Host": host}))[0] == 200

    asyncio.run(scenario())


@pytest.mark.parametrize("address", ["/", "/app.js", "/api/scans", "/healthz", "/nothing", "/metrics", "/api/live"])
def test_every_answer_keeps_a_browser_from_other_uses(address, tools):
    async def scenario():
        async with tools.open() as (_, client), client.get(address) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert not [name for name in answer.headers if name.lower().startswith("access-control")]

    asyncio.run(scenario())


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_changed(method, tools):
    async def scenario():
        async with tools.open() as (_, client), client.request(method, "/api/scans", data=b"x") as answer:
            assert answer.status == 405

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "head", ["GET /" + "a" * 9000 + " HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nX: " + "a" * 9000 + "\r\n\r\n"]
)
def test_requests_that_are_too_long_are_refused(head, tools):
    async def scenario():
        async with tools.open() as (console, _):

            def ask():
                with socket.create_connection(("127.0.0.1", console.port), timeout=20) as connection:
                    connection.sendall(head.encode())
                    return connection.recv(100)

            assert (await asyncio.to_thread(ask)).split()[1] in (b"400", b"414", b"431")

    asyncio.run(scenario())


@pytest.mark.parametrize("host", ["[", "[::1", "a]b", ""])
def test_a_host_that_is_no_host_is_refused(host, tools):
    async def scenario():
        async with tools.open() as (_, client):
            assert (await tools.got(client, "/", headers={"Host": host}))[0] == 403

    asyncio.run(scenario())
