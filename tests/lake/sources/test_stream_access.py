"""Getting into NATS: password, token, nkey, credentials file, TLS, permissions; and no secret in what is said about it."""

import base64
import binascii
import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID
from pydantic import ValidationError

from lake.errors import InputError, SourceFailed
from lake.sources.streams.jetstream import JetStream
from lake.sources.streams.settings import NatsSettings
from tests.nats import NatsServer, free_port

PASSWORD = "hunter2-and-more"
RAW = serialization.Encoding.Raw, serialization.PublicFormat.Raw


def settings(server, **changes):
    return NatsSettings.model_validate({"kind": "nats", "servers": server.url, "stream": "TILL"} | changes)


def reach(given):
    """Connect and ask for a stream that is not there: how far the answer comes tells who was let in."""
    broker = JetStream(given, "tests")
    try:
        return broker.incarnation()
    finally:
        broker.close()


@pytest.fixture
def serve(tmp_path):
    servers = []

    def start(lines):
        servers.append(NatsServer(tmp_path / f"nats{len(servers)}", lines, sync_interval="2m").start())
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


def nkey(kind, public=None, seed=None):
    """Return a public key or a seed as NATS writes it."""
    prefix = {"operator": 14, "account": 0, "user": 20}[kind] << 3
    if seed is not None:
        body = bytes([18 << 3 | prefix >> 5, (prefix & 31) << 3]) + seed
    else:
        body = bytes([prefix]) + public
    return base64.b32encode(body + binascii.crc_hqx(body, 0).to_bytes(2, "little")).decode().rstrip("=")


class Identity:
    def __init__(self, kind):
        self.key = Ed25519PrivateKey.generate()
        self.public = nkey(kind, public=self.key.public_key().public_bytes(*RAW))
        self.seed = nkey(kind, seed=self.key.private_bytes_raw())

    def token(self, subject, name, claims):
        """Sign a JWT as `nsc` does."""
        body = {
            "jti": name,
            "iat": int(time.time()),
            "iss": self.public,
            "name": name,
            "sub": subject,
            "nats": claims,
        }
        parts = [{"typ": "JWT", "alg": "ed25519-nkey"}, body]
        text = ".".join(
            base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts
        )
        return f"{text}.{base64.urlsafe_b64encode(self.key.sign(text.encode())).decode().rstrip('=')}"


def test_user_and_password(serve, monkeypatch):
    server = serve(f"authorization {{ user: stock, password: {PASSWORD} }}")
    monkeypatch.setenv("NATS_PASSWORD", PASSWORD)
    with pytest.raises(SourceFailed, match="There is no stream TILL"):
        reach(settings(server, user="stock", password="${env:NATS_PASSWORD}"))
    monkeypatch.setenv("NATS_PASSWORD", PASSWORD + "!")
    with pytest.raises(SourceFailed, match=r"(?i)authorization violation") as refused:
        reach(settings(server, user="stock", password="${env:NATS_PASSWORD}"))
    assert PASSWORD not in str(refused.value)


def test_a_password_in_the_url_is_never_shown(serve, monkeypatch):
    server = serve(f"authorization {{ user: stock, password: {PASSWORD} }}")
    monkeypatch.setenv("NATS_PASSWORD", PASSWORD)
    url = f"nats://stock:${{env:NATS_PASSWORD}}@127.0.0.1:{server.port}"
    given = settings(server, servers=[url])
    with pytest.raises(SourceFailed, match="There is no stream TILL") as missing:
        reach(given)
    server.kill()
    with pytest.raises(SourceFailed, match="cannot be reached") as gone:
        reach(given)
    assert not any(PASSWORD in text for text in (str(missing.value), str(gone.value), repr(given)))


def test_a_token(serve, monkeypatch):
    server = serve(f"authorization {{ token: {PASSWORD} }}")
    monkeypatch.setenv("NATS_TOKEN", PASSWORD)
    with pytest.raises(SourceFailed, match="There is no stream TILL"):
        reach(settings(server, token="${env:NATS_TOKEN}"))
    with pytest.raises(SourceFailed, match=r"(?i)authorization violation"):
        reach(settings(server))


def test_an_nkey(serve, monkeypatch):
    user, other = Identity("user"), Identity("user")
    server = serve(f"authorization {{ users: [{{ nkey: {user.public} }}] }}")
    monkeypatch.setenv("SEED", user.seed)
    with pytest.raises(SourceFailed, match="There is no stream TILL"):
        reach(settings(server, nkey_seed="${env:SEED}"))
    monkeypatch.setenv("SEED", other.seed)
    with pytest.raises(SourceFailed, match=r"(?i)authorization violation"):
        reach(settings(server, nkey_seed="${env:SEED}"))
    monkeypatch.setenv("SEED", user.seed[:30] + ("A" if user.seed[30] != "A" else "B") + user.seed[31:])
    with pytest.raises(InputError, match="The NATS seed is none") as broken:
        reach(settings(server, nkey_seed="${env:SEED}"))
    assert user.seed[:20] not in str(broken.value)


def test_a_credentials_file(serve, tmp_path):
    operator, account, user = Identity("operator"), Identity("account"), Identity("user")
    unlimited = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1, "conn": -1, "leaf": -1}
    unlimited |= {"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": True}
    of_account = operator.token(
        account.public,
        "acme",
        {"type": "account", "version": 2, "limits": unlimited, "default_permissions": {}},
    )
    of_user = account.token(
        user.public,
        "stock",
        {"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1, "pub": {}, "sub": {}},
    )
    of_operator = operator.token(operator.public, "op", {"type": "operator", "version": 2})
    system = Identity("account")
    of_system = operator.token(
        system.public,
        "SYS",
        {"type": "account", "version": 2, "limits": unlimited | {"mem_storage": 0, "disk_storage": 0}},
    )
    server = serve(
        f"operator: {of_operator}\nresolver: MEMORY\nsystem_account: {system.public}\n"
        f"resolver_preload: {{ {account.public}: {of_account}, {system.public}: {of_system} }}"
    )
    path = tmp_path / "stock.creds"
    path.write_text(
        f"-----BEGIN NATS USER JWT-----\n{of_user}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
    )
    with pytest.raises(SourceFailed, match="There is no stream TILL"):
        reach(settings(server, credentials_file=path))
    path.write_text("nothing")
    with pytest.raises(InputError, match=r"stock\.creds cannot be used"):
        reach(settings(server, credentials_file=path))


def test_tls(serve, tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (tmp_path / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = serve(f'tls {{ cert_file: "{tmp_path}/cert.pem", key_file: "{tmp_path}/key.pem" }}')
    url = f"tls://localhost:{server.port}"
    with pytest.raises(SourceFailed, match="There is no stream TILL"):
        reach(settings(server, servers=url, tls_ca_file=tmp_path / "cert.pem"))
    with pytest.raises(SourceFailed, match="certificate verify failed"):
        reach(settings(server, servers=url))
    with pytest.raises(InputError, match="TLS files"):
        reach(settings(server, servers=url, tls_ca_file=tmp_path / "absent.pem"))


def test_a_user_who_may_not_read_the_stream_is_told_so(serve, monkeypatch):
    server = serve(
        "authorization { users: [{ user: stock, password: secret, permissions: { publish: [none], subscribe: ['_INBOX.>'] } }] }"
    )
    monkeypatch.setattr("lake.sources.streams.jetstream.ANSWER_SECONDS", 0.5)
    monkeypatch.setenv("PASSWORD", "secret")
    with pytest.raises(SourceFailed, match=r"(?i)permissions violation"):
        reach(settings(server, user="stock", password="${env:PASSWORD}"))


def test_the_next_server_of_a_cluster_is_asked_when_the_first_is_gone(serve):
    server, gone = serve(""), f"nats://127.0.0.1:{free_port()}"
    with pytest.raises(SourceFailed, match="There is no stream TILL"):
        reach(settings(server, servers=[gone, server.url]))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"password": "plain", "user": "me"}, "a secret stands in no contract"),
        ({"user": "me"}, "user and password belong together"),
        ({"token": "${env:A}", "nkey_seed": "${env:B}"}, "more than one way in"),
        ({"tls_key_file": "key.pem"}, "tls_certificate_file and tls_key_file belong together"),
        ({"stream": "a.b"}, "no name of a stream"),
        ({"subjects": ["a..b"]}, "no subject"),
        ({"batch_rows": 0}, "greater than or equal to 1"),
        ({"servers": []}, "at least 1"),
    ],
)
def test_settings_that_cannot_be_meant_are_told(nats_server, changes, sentence):
    with pytest.raises(ValidationError, match=sentence):
        settings(nats_server, **changes)
