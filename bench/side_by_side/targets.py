"""What is measured: how each gateway is started in front of the mock, and nothing about how it does.

Every gateway runs as its operator would run it to serve: routing by model over four workers where it can,
metrics and logs at their defaults, unless that would make it look worse than it is (SMG and LiteLLM log
warnings only, nginx logs nothing and balances nothing: it is the floor, not a peer).
"""

import dataclasses
import os
import shutil
from collections.abc import Callable

NGINX = """\
daemon off;
worker_processes auto;
worker_rlimit_nofile 20000;
pid {scratch}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 19900; }}
http {{
    access_log off;
    client_body_temp_path {scratch}/nginx-client;
    proxy_temp_path {scratch}/nginx-proxy;
    fastcgi_temp_path {scratch}/nginx-fastcgi;
    uwsgi_temp_path {scratch}/nginx-uwsgi;
    scgi_temp_path {scratch}/nginx-scgi;
    client_max_body_size 64m;
    client_body_buffer_size 2m;
    keepalive_requests 1000000000;
    upstream mock {{
        server 127.0.0.1:{mock};
        keepalive 1024;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://mock;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_read_timeout 300s;
        }}
    }}
}}
"""

TO_ANTHROPIC = """\
listen: {{ host: 127.0.0.1, port: {port} }}
metrics: {{ host: 127.0.0.1, port: {aux} }}
policy: round_robin
workers:
{workers}"""

ANTHROPIC_WORKER = """\
  - url: http://127.0.0.1:{mock}
    provider: anthropic
    api_key: sk-ant-mock
    models: [mock-model]
"""

LITELLM = """\
model_list:
  - model_name: mock-model
    litellm_params:
      model: {model}
      api_base: {base}
      api_key: sk-mock
litellm_settings:
  telemetry: false
  num_retries: 0
"""

LITELLM_ENV = {
    "LITELLM_LOG": "ERROR",
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
}


@dataclasses.dataclass
class Target:
    """One row of the tables."""

    name: str
    # Given its port and a second one, the command line; None is the mock itself.
    command: Callable[[int, int], list] | None
    binary: str | None = None
    env: dict = dataclasses.field(default_factory=dict)
    # Turns OpenAI calls into Anthropic ones, so it belongs into the table of translations.
    translates: bool = False
    # Python needs longer windows to show enough requests, and many seconds to start.
    slow: bool = False

    def is_installed(self):
        return self.command is None or bool(self.binary and shutil.which(self.binary))


def known(trunkline, mock_ports, scratch):
    """Every target by name, installed or not."""
    smg, litellm = os.environ.get("SMG"), os.environ.get("LITELLM")
    nginx = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    urls = [f"http://127.0.0.1:{port}" for port in mock_ports]

    def file(name, text):
        path = scratch / name
        path.write_text(text)
        return path

    def start_nginx(port, _aux):
        config = NGINX.format(scratch=scratch, port=port, mock=mock_ports[0])
        return [nginx, "-c", file("nginx.conf", config)]

    def start_trunkline(port, aux):
        return [trunkline, "--host", "127.0.0.1", "--port", port, "--worker-urls", *urls,
                "--policy", "round_robin", "--prometheus-host", "127.0.0.1", "--prometheus-port", aux]

    def start_translating(port, aux):
        workers = "".join(ANTHROPIC_WORKER.format(mock=mock) for mock in mock_ports)
        config = TO_ANTHROPIC.format(port=port, aux=aux, workers=workers)
        return [trunkline, "--config", file("to-anthropic.yaml", config)]

    def start_smg(port, aux):
        return [smg, "launch", "--host", "127.0.0.1", "--port", port, "--worker-urls", *urls,
                "--policy", "round_robin", "--log-level", "warn", "--prometheus-port", aux]

    def start_litellm(model, base):
        def command(port, _aux):
            config = file(f"litellm-{port}.yaml", LITELLM.format(model=model, base=base))
            return [litellm, "--config", config, "--host", "127.0.0.1", "--port", port, "--num_workers", 1]
        return command

    python = {"binary": litellm, "env": LITELLM_ENV, "slow": True}
    listed = [
        Target("direct", None),
        Target("nginx", start_nginx, nginx),
        Target("trunkline", start_trunkline, str(trunkline)),
        Target("smg", start_smg, smg),
        Target("litellm", start_litellm("openai/mock-model", urls[0] + "/v1"), **python),
        Target("trunkline-to-anthropic", start_translating, str(trunkline), translates=True),
        Target("litellm-to-anthropic", start_litellm("anthropic/claude-mock", urls[0]), **python, translates=True),
    ]
    return {target.name: target for target in listed}
