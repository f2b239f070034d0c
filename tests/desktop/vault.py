"""A real OpenBao in its development mode, with one secret."""

import json
import os
import ssl
import urllib.request
from pathlib import Path

from session import free_port, wait_for

TOKEN = "root-token-of-the-test"


class Vault:
    def __init__(self, session, work):
        tls = Path(work) / "vault-tls"
        tls.mkdir()
        self.address = f"https://127.0.0.1:{(port := free_port())}"
        self.ca = tls / "vault-ca.pem"
        self.token_file = Path(work) / "vault-token"
        self.token_file.write_text(TOKEN)
        self.token_file.chmod(0o600)
        session.start("vault", os.environ["SALLYPORT_BAO"], "server", "-dev", "-dev-tls", "-dev-no-store-token",
                      f"-dev-root-token-id={TOKEN}", f"-dev-listen-address=127.0.0.1:{port}", f"-dev-tls-cert-dir={tls}")
        wait_for("the vault", lambda: not self.call("GET", "sys/health")["sealed"])

    def call(self, method, path, body=None):
        request = urllib.request.Request(f"{self.address}/v1/{path}", method=method, headers={"X-Vault-Token": TOKEN},
                                         data=None if body is None else json.dumps(body).encode())
        with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=self.ca), timeout=10) as answer:
            return json.load(answer)

    def store(self, name, value):
        # It answers before its place for secrets is ready.
        wait_for("the vault to take it", lambda: self.call("POST", f"secret/data/ai-protected/{name}", {"data": {"value": value}}))

    def settings(self):
        """How the engine is told of it."""
        return {"address": self.address, "ca": str(self.ca), "mount": "secret", "kv": 2, "path": "ai-protected/",
                "auth": {"method": "token", "token_file": str(self.token_file)}}
