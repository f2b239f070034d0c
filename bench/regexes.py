"""mitmproxy addon: the redaction that a naive set-up has, twelve regular expressions over each request."""

import os
import re

HOST, _, PORT = os.environ["BENCH_UPSTREAM"].rpartition(":")

PATTERNS = [
    re.compile(pattern)
    for pattern in (
        r"AKIA[0-9A-Z]{16}",
        r"(?i)aws.{0,20}secret.{0,20}[=:]\s*\S{40}",
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
        r"eyJ[\w-]+\.eyJ[\w-]+\.[\w-]*",
        r"(?i)password\s*[=:]\s*[\"'][^\"']+[\"']",
        r"(?:mongodb|postgres(?:ql)?|mysql|redis)://\S+",
        r"(?i)api[_-]?(?:key|token)[\"']?\s*[=:]\s*[\"']?[\w-]{20,}",
        r"\b\d{3}-\d{2}-\d{4}\b",
        r"[A-Z][a-z]+\s[A-Z][a-z]+\s<[\w.-]+@[\w.-]+>",
        r"https?://[\w.-]+\.(?:internal|corp|local)\b",
        r"\b(?:10|192\.168|172\.(?:1[6-9]|2\d|3[01]))(?:\.\d{1,3}){2,3}\b",
        r"gh[pousr]_\w{36}",
    )
]


def server_connect(data):
    data.server.address = (HOST, int(PORT))


def request(flow):
    text = flow.request.get_text(strict=False) or ""
    for pattern in PATTERNS:
        text = pattern.sub("[REDACTED]", text)
    flow.request.set_text(text)
