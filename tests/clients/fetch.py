"""fetch.py HOST ADDRESS:PORT: a TLS handshake with the interpreter's default settings; prints `ok`, or why not."""
import socket
import ssl
import sys

host, address = sys.argv[1:3]
ip, port = address.rsplit(":", 1)
try:
    with socket.create_connection((ip, int(port)), timeout=20) as plain:
        with ssl.create_default_context().wrap_socket(plain, server_hostname=host):
            print("ok")
except ssl.SSLError as e:
    print(f"refused {e}")
    sys.exit(1)
