"""`trunkline doctor`: what it says of good and of broken targets, all on loopback."""

import datetime
import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from processes import BASE_ENV, Processes

KEY = "sk-proj-canary-0123456789"
NOW = datetime.datetime.now(datetime.UTC)


class Models(BaseHTTPRequestHandler):
    """A provider's list of models, for holders of the key."""

    skew = datetime.timedelta(0)

    def do_GET(self) -> None:
        is_known = self.headers["authorization"] == f"Bearer {KEY}"
        body = json.dumps({"data": [{"id": "gpt-one"}, {"id": "gpt-two"}]} if is_known else {"error": {}}).encode()
        self.send_response(200 if is_known else 401)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def date_time_string(self, timestamp: float | None = None) -> str:
        return format_datetime(datetime.datetime.now(datetime.UTC) + self.skew, usegmt=True)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def provider(tls: ssl.SSLContext | None = None, skew: datetime.timedelta = datetime.timedelta(0)) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Skewed", (Models,), {"skew": skew}))
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    scheme, host = ("https", "localhost") if tls else ("http", "127.0.0.1")
    yield f"{scheme}://{host}:{server.server_port}"
    server.shutdown()
    server.server_close()


def certificate(directory: Path, days: int) -> tuple[ssl.SSLContext, Path]:
    """A server's setup that nobody vouches for, and the certificate to trust it by; it ends in so many days."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(NOW - datetime.timedelta(days=400)).not_valid_after(NOW + datetime.timedelta(days=days))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    made = builder.sign(key, hashes.SHA256())
    pem, secret = directory / f"cert{days}.pem", directory / f"key{days}.pem"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, secret)
    return context, pem


class Doctor:
    def __init__(self, processes: Processes, binaries: Path):
        self.processes, self.binaries = processes, binaries

    def run(self, config: str, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        head = "igw: true\nlisten: {host: 127.0.0.1, port: 0}\nmetrics: {port: 0}\n"
        file = self.processes.file("doctor.yaml", head + config)
        argv = [self.binaries / "trunkline", "doctor", "--config", file, "--timeout-secs", "5", *arguments]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, env={**BASE_ENV, **(env or {})}, check=False)
        assert KEY not in done.stdout + done.stderr
        return done

    def report(self, config: str, env: dict[str, str] | None = None) -> tuple[int, dict[str, dict]]:
        """The exit code, and the checks of the only worker by what they look at."""
        done = self.run(config, "--json", env=env)
        report = json.loads(done.stdout)
        assert report["ok"] == (done.returncode == 0), done.stdout
        [worker] = [target for target in report["targets"] if "url" in target]
        return done.returncode, {check["what"]: check for check in worker["checks"]}


@pytest.fixture(scope="module")
def doctor(processes: Processes, binaries: Path) -> Doctor:
    return Doctor(processes, binaries)


def openai(url: str, more: str = "") -> str:
    return f"workers: [{{name: cloud, url: '{url}', provider: openai, api_key: '${{OPENAI_KEY}}'}}]\n{more}"


def test_a_good_engine_is_fit(doctor: Doctor, processes: Processes):
    engine = processes.engine(flavour="vllm")
    code, checks = doctor.report(f"workers: [{{url: '{engine.url}'}}]\n")
    assert code == 0
    assert {what: check["verdict"] for what, check in checks.items()} == {
        "key": "skip",
        "dns": "ok",
        "tcp": "ok",
        "tls": "skip",
        "http": "ok",
        "clock": checks["clock"]["verdict"],
        "version": "ok",
        "models": "ok",
    }
    assert checks["clock"]["verdict"] in ("ok", "skip")
    assert "vllm" in checks["version"]["detail"]
    assert engine.models[0] in checks["models"]["detail"]


def test_a_good_provider_is_fit_and_its_key_is_not_shown(doctor: Doctor):
    with provider() as url:
        code, checks = doctor.report(openai(url), env={"OPENAI_KEY": KEY})
        assert code == 0, checks
        assert checks["models"]["detail"] == "gpt-one, gpt-two"
        assert checks["clock"]["verdict"] == "ok"
        done = doctor.run(openai(url), env={"OPENAI_KEY": KEY})
        assert done.returncode == 0
        assert "fit to serve: 0 failures" in done.stdout
        lines = [line.split() for line in done.stdout.splitlines()]
        for what in ("key", "dns", "tcp", "http", "clock", "models"):
            assert any(line[:2] == ["ok", what] for line in lines), done.stdout


def test_nobody_listens(doctor: Doctor):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        code, checks = doctor.report(openai(f"http://127.0.0.1:{port}"), env={"OPENAI_KEY": KEY})
    assert code == 1
    assert (checks["dns"]["verdict"], checks["tcp"]["verdict"]) == ("ok", "fail")
    assert "listens" in checks["tcp"]["hint"]
    assert "http" not in checks


def test_a_certificate_nobody_vouches_for(doctor: Doctor, tmp_path: Path):
    context, pem = certificate(tmp_path, 90)
    with provider(tls=context) as url:
        code, checks = doctor.report(openai(url), env={"OPENAI_KEY": KEY})
        assert (code, checks["tcp"]["verdict"], checks["tls"]["verdict"]) == (1, "ok", "fail")
        assert "upstream.ca_certs" in checks["tls"]["hint"]
        trusted = openai(url, f"upstream: {{ca_certs: ['{pem}']}}\n")
        code, checks = doctor.report(trusted, env={"OPENAI_KEY": KEY})
        assert (code, checks["tls"]["verdict"]) == (0, "ok"), checks
        assert "89 days left" in checks["tls"]["detail"]


@pytest.mark.parametrize(("days", "code", "verdict", "says"), [(5, 0, "warn", "4 days left"), (-5, 1, "fail", "xpired")])
def test_certificates_that_end(doctor: Doctor, tmp_path: Path, days: int, code: int, verdict: str, says: str):
    context, pem = certificate(tmp_path, days)
    with provider(tls=context) as url:
        trusted = openai(url, f"upstream: {{ca_certs: ['{pem}']}}\n")
        done, checks = doctor.report(trusted, env={"OPENAI_KEY": KEY})
        assert (done, checks["tls"]["verdict"]) == (code, verdict), checks
        assert says in checks["tls"]["detail"]
        assert "renew" in checks["tls"]["hint"]


def test_a_key_that_is_refused(doctor: Doctor):
    with provider() as url:
        code, checks = doctor.report(openai(url), env={"OPENAI_KEY": "sk-proj-of-yesterday"})
        assert (code, checks["http"]["verdict"]) == (1, "fail")
        assert checks["http"]["detail"].startswith("401")
        assert "refused" in checks["http"]["hint"]


@pytest.mark.parametrize(("key", "says"), [(f" {KEY}\\\"", "quotes"), ("sk-ant-0123456789", "anthropic"), ("sk-...", "placeholder")])
def test_keys_that_cannot_be_one(doctor: Doctor, key: str, says: str):
    with provider() as url:
        code, checks = doctor.report(openai(url), env={"OPENAI_KEY": key.replace("\\", "")})
        assert (code, checks["key"]["verdict"]) == (1, "fail"), checks
        assert says in checks["key"]["detail"]


@pytest.mark.parametrize(("minutes", "code", "verdict"), [(2, 0, "warn"), (-60, 1, "fail"), (60, 1, "fail")])
def test_clocks_that_differ(doctor: Doctor, minutes: int, code: int, verdict: str):
    with provider(skew=datetime.timedelta(minutes=minutes)) as url:
        done, checks = doctor.report(openai(url), env={"OPENAI_KEY": KEY})
        assert (done, checks["clock"]["verdict"]) == (code, verdict), checks
        assert "NTP" in checks["clock"]["hint"]


def test_one_broken_target_of_several_fails_it_all(doctor: Doctor):
    with provider() as good:
        config = f"workers: [{{url: '{good}', provider: openai, api_key: '{KEY}'}}, {{url: 'http://127.0.0.1:9'}}]\n"
        done = doctor.run(config)
        assert done.returncode == 1
        assert "not fit to serve: 1 failure" in done.stdout
        assert "  ok    models" in done.stdout


def test_a_configuration_that_is_wrong_is_told_with_its_place(doctor: Doctor):
    done = doctor.run("polcy: random\n")
    assert done.returncode == 1
    assert "doctor.yaml:4:1: polcy" in done.stdout
