"""An issuer of JSON Web Tokens: keys that really sign, and a server that shows their public halves."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

PrivateKey: TypeAlias = (
    rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
)

NOW = 1_800_000_000.0  #: What clocks show unless a test moves them.


class Time:
    """A clock that stands still until it is moved."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Signer:
    """Signs tokens with a key of its own."""

    def __init__(self, kid: str = "one", algorithm: str = "ES256", bits: int = 2048) -> None:
        self.kid = kid
        self.algorithm = algorithm
        self.private = _private(algorithm, kid, bits)

    def jwk(self, **fields: Any) -> dict[str, Any]:
        """Return the public half as a key set shows it."""
        public: Any = self.private.public_key()
        shown: dict[str, Any]
        if isinstance(self.private, rsa.RSAPrivateKey):
            shown = RSAAlgorithm.to_jwk(public, as_dict=True)
        elif isinstance(self.private, ec.EllipticCurvePrivateKey):
            shown = ECAlgorithm.to_jwk(public, as_dict=True)
        else:
            shown = OKPAlgorithm.to_jwk(public, as_dict=True)
        shown.pop("key_ops", None)
        return {**shown, "kid": self.kid, **fields}

    def sign(self, headers: dict[str, Any] | None = None, /, **claims: Any) -> str:
        """Return a token with usual claims, but for those given; None leaves one out."""
        usual: dict[str, Any] = {
            "iss": "https://id.example.org",
            "aud": "longshore",
            "sub": "ada",
            "exp": NOW + 600,
            "roles": ["users"],
        }
        told = {name: one for name, one in {**usual, **claims}.items() if one is not None}
        named = {"kid": self.kid} if headers is None else headers
        return jwt.encode(told, self.private, algorithm=self.algorithm, headers=named)


@functools.cache
def _private(algorithm: str, kid: str, bits: int) -> PrivateKey:
    if algorithm[:2] in ("RS", "PS"):
        return rsa.generate_private_key(65537, bits)
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    curves: dict[str, ec.EllipticCurve] = {
        "ES256": ec.SECP256R1(),
        "ES384": ec.SECP384R1(),
        "ES512": ec.SECP521R1(),
    }
    return ec.generate_private_key(curves[algorithm])


def key_set(*signers: Signer) -> bytes:
    """Return the set of their public keys."""
    return json.dumps({"keys": [signer.jwk() for signer in signers]}).encode()


class KeyServer:
    """Serves a key set by HTTP, as fast as it is let."""

    def __init__(self, url: str, *signers: Signer) -> None:
        self.url = url
        self.document = key_set(*signers)
        self.status = 200
        self.asked = 0
        self.answering = threading.Event()  #: Cleared: it lets who asks wait.
        self.answering.set()

    def show(self, *signers: Signer) -> None:
        self.document = key_set(*signers)


@contextmanager
def key_server(*signers: Signer) -> Generator[KeyServer]:
    """Run a server of keys on this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown.asked += 1
            shown.answering.wait(10)
            self.send_response(shown.status)
            if shown.status in (301, 302):
                self.send_header("Location", f"{shown.url}/elsewhere")
            self.send_header("Content-Length", str(len(shown.document)))
            self.end_headers()
            self.wfile.write(shown.document)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """Who asked may be gone before the answer."""

    with Quiet(("127.0.0.1", 0), Handler) as server:
        shown = KeyServer(f"http://127.0.0.1:{server.server_port}/keys", *signers)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield shown
        finally:
            shown.answering.set()
            server.shutdown()
            thread.join()
