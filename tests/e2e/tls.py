"""TLS as at the edge of a hospital: an authority of the house's own, and a proxy before each connector."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.e2e.wire import Wire


class Authority:
    """Issues certificates for this machine; ``file`` is its own certificate (PEM)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "A house's own authority")])
        own = self._builder(self._name, self._key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.file = folder / "authority.pem"
        self.file.write_bytes(own.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def server(self) -> ssl.SSLContext:
        """What a server on this machine needs: a key and a certificate for 127.0.0.1."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        certificate = (
            self._builder(name, key.public_key())
            .add_extension(x509.SubjectAlternativeName([address]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        file = self._folder / "server.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=2))
        )


class TlsWire(Wire):
    """Proxies that speak TLS to callers and plain HTTP to the connector behind them."""

    def __init__(self, server: ssl.SSLContext) -> None:
        super().__init__()
        self._server = server

    def listen(self, port: int, upstream: int) -> None:
        """Take calls at a port for the connector at another."""
        self._listen(port, upstream)

    def _accept(self, server: socket.socket, upstream: int) -> None:
        while True:
            try:
                caller, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(caller, upstream), daemon=True).start()

    def _carry(self, plain: socket.socket, upstream: int) -> None:
        plain.settimeout(30)
        try:
            caller = self._server.wrap_socket(plain, server_side=True)
        except OSError:  # no TLS
            plain.close()
            return
        caller.settimeout(None)
        with caller, contextlib.suppress(OSError):  # the connector may be down
            callee = socket.create_connection(("127.0.0.1", upstream), timeout=5)
            callee.settimeout(None)
            there = threading.Thread(target=self._pump, args=(caller, callee), daemon=True)
            there.start()
            self._pump(callee, caller)
            there.join(timeout=5)
