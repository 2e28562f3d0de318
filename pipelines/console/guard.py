"""Who may open the page, and what a browser may do with it."""

import hashlib
import hmac
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from spokestream.pipelines.console.settings import LOOPBACK

__all__ = ["OPEN", "add_security_headers", "guard"]

OPEN = ("/healthz", "/readyz")
"""Paths that need no token, because the programs that watch a container have none. They tell nothing of scans."""
COOKIE = "spokestream"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": "spokestream",
}


async def add_security_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add to a response, as the signal `on_response_prepare`, what keeps a browser from any other use of it."""
    response.headers.update(HEADERS)


def guard(token: str | None) -> Middleware:
    """The middleware that lets in whoever has the token; or without a token, programs of this machine.

    The token is in the header `Authorization: Bearer TOKEN`, or a cookie proves it. `/?token=TOKEN` sets the cookie.
    Without a token, the host that a browser asks for must be the loopback: a foreign page can make its own name point
    to 127.0.0.1, but it cannot change the header `Host`.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            raise web.HTTPMethodNotAllowed(request.method, ["GET", "HEAD"])
        if request.path in OPEN:
            return await handler(request)
        if token is None:
            if _hostname(request.host) not in LOOPBACK:
                raise web.HTTPForbidden(text="Without a token, the page is open for this machine alone.")
            return await handler(request)
        if request.path == "/" and "token" in request.query:
            if not _same(request.query["token"], token):
                raise web.HTTPUnauthorized(text="The token is wrong.")
            answer = web.HTTPSeeOther("/")  # so that the token does not stay in the address
            answer.set_cookie(COOKIE, _proof(token), httponly=True, samesite="Strict", path="/")
            raise answer
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        bearer = scheme.lower() == "bearer" and _same(given.strip(), token)
        if not bearer and not _same(request.cookies.get(COOKIE, ""), _proof(token)):
            raise web.HTTPUnauthorized(
                text="Open this page once with ?token=TOKEN, or send the header 'Authorization: Bearer TOKEN'.",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return await handler(request)

    return check


def _hostname(host: str) -> str | None:
    """The name in a header `Host`; None if it is none."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _same(given: str, expected: str) -> bool:
    """Compare in a time that does not depend on how many characters are right."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode())


def _proof(token: str) -> str:
    """A value that only somebody with the token can make, and from which the token cannot be computed."""
    return hmac.new(token.encode(), b"spokestream page", hashlib.sha256).hexdigest()
