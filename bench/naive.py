"""What a naive set-up looks for: the source's list of regular expressions, as they stand there or nearly so."""

import re

NAIVE = [
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
    )
]
