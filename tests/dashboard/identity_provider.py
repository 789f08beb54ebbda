"""A small OpenID Connect provider for tests: real HTTP, real signatures, and false claims on request."""

import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

from flask import Flask, jsonify, redirect, request
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey
from joserfc.jws import JWSRegistry
from werkzeug.wrappers import Response

from tests.servers import served

CLIENT, SECRET = "wattfall", "what only the two know"
KEY, OTHER_KEY = (RSAKey.generate_key(2048, {"kid": name}) for name in ("ours", "ours-no-more"))
Claims = dict[str, Any]


class IdentityProvider:
    """Vouches for everybody with `claims`. `lie` changes a token's claims; `sign` makes the token."""

    def __init__(self) -> None:
        self.issuer = ""
        self.said_issuer: str | None = None
        self.claims: Claims = {"sub": "ann-1", "role": "household", "name": "Ann", "email": "ann@example.org"}
        self.lie: Callable[[Claims], object] = lambda _: None
        self.sign: Callable[[Claims], str] = signed
        self.algorithms = ["RS256"]
        self.is_broken = False
        self.refused: list[str] = []  # why no token was given
        self._asked: dict[str, dict[str, str]] = {}
        self.app = Flask("provider")
        self.app.get("/.well-known/openid-configuration")(self._describe)
        self.app.get("/authorize")(self._authorize)
        self.app.post("/token")(self._token)
        self.app.get("/keys")(lambda: jsonify(KeySet([KEY]).as_dict(private=False)))

    def used(self, code: str) -> None:
        """Somebody has used a code."""
        del self._asked[code]

    def _describe(self) -> Response | tuple[str, int]:
        if self.is_broken:
            return "<h1>down for maintenance</h1>", 503
        return jsonify(
            issuer=self.said_issuer or self.issuer,
            authorization_endpoint=f"{self.issuer}/authorize",
            token_endpoint=f"{self.issuer}/token",
            jwks_uri=f"{self.issuer}/keys",
            id_token_signing_alg_values_supported=self.algorithms,
        )

    def _authorize(self) -> Response:
        assert request.args["code_challenge_method"] == "S256"
        assert request.args["response_type"] == "code"
        code = f"code-{len(self._asked)}"
        self._asked[code] = request.args.to_dict()
        back = urlencode({"code": code, "state": request.args["state"]})
        return redirect(f"{request.args['redirect_uri']}?{back}")

    def _token(self) -> Response | tuple[Response, int]:
        asked = self._asked.pop(request.form["code"], None)
        challenge = urlsafe_b64encode(sha256(request.form.get("code_verifier", "").encode()).digest()).decode()
        is_known = request.authorization and request.authorization.parameters == {
            "username": CLIENT,
            "password": SECRET,
        }
        if not asked or not is_known or challenge.rstrip("=") != asked["code_challenge"]:
            self.refused.append("code" if not asked else "verifier" if is_known else "client")
            return jsonify(error="invalid_grant"), 400
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
        claims |= self.claims
        self.lie(claims)
        return jsonify(access_token="unused", token_type="Bearer", id_token=self.sign(claims))


def signed(claims: Claims, key: RSAKey = KEY) -> str:
    return jwt.encode({"alg": "RS256", "kid": "ours"}, claims, key)


def unsigned(claims: Claims) -> str:
    return jwt.encode({"alg": "none"}, claims, OctKey.import_key("x" * 32), registry=JWSRegistry(algorithms=["none"]))


def signed_with_the_secret(claims: Claims) -> str:
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET.encode()))


@contextmanager
def running() -> Iterator[IdentityProvider]:
    provider = IdentityProvider()
    with served(provider.app) as provider.issuer:
        yield provider
