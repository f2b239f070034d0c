"""A provider that answers as OpenAI does, behind a certificate of its own."""

import json
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# What its stream calls for when it is asked to deploy.
CALLED = "make deploy"


class Provider(BaseHTTPRequestHandler):
    """Answers as OpenAI does, and remembers what arrived."""

    protocol_version = "HTTP/1.1"
    seen: list[bytes] = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Provider.seen.append(body)
        if b"deploy it" in body:
            return self.call()
        answer = json.dumps({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-5.2",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "Done."}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
        }).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def call(self):
        """A stream that calls for a command."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        arguments = json.dumps({"command": CALLED})
        call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "bash", "arguments": arguments}}
        for delta, finish in (({"role": "assistant", "content": "On it. "}, None), ({"tool_calls": [call]}, None), ({}, "tool_calls")):
            chunk = {"id": "chatcmpl-2", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5.2",
                     "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
            self.piece(f"data: {json.dumps(chunk)}\n\n".encode())
        self.piece(b"data: [DONE]\n\n")
        self.piece(b"")

    def piece(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def log_message(self, *_):
        pass


def provider(work):
    """A server that only `extra_roots` makes trustworthy; gives its port and its root."""
    run = lambda *command: subprocess.run(command, check=True, capture_output=True, cwd=work)
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "root.key",
        "-out", "root.pem", "-days", "2", "-subj", "/CN=desktop test")
    run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "leaf.key",
        "-out", "leaf.csr", "-subj", "/CN=api.openai.com")
    (work / "leaf.ext").write_text("subjectAltName=DNS:api.openai.com\n")
    run("openssl", "x509", "-req", "-in", "leaf.csr", "-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-days", "2",
        "-out", "leaf.pem", "-extfile", "leaf.ext")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(work / "leaf.pem", work / "leaf.key")
    # Greeted on the connection's own thread: one that says nothing must not keep the others waiting.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1], work / "root.pem"
