"""The front ends that are compared as reverse proxies: how each is set up, started and named.

All have one worker per core, kept-alive connections to the same back end, the same key and certificate (but Hop3, which
makes an ECDSA one of its own), and no access log unless one is asked for. What else they do is what they do by default.
"""

import os
import pathlib
import resource
import shutil
import subprocess

import contenders
import servers

HOST = "localhost"
CADDY_VERSION = "v2.11.9"
CADDY = f"github.com/caddyserver/caddy/v2/cmd/caddy@{CADDY_VERSION}"
CORES = os.cpu_count()


class Front:
    """One running server."""

    def __init__(self, name, http, https, files, process):
        self.name, self.process = name, process
        self.ports = {"http": http, "https": https, "files": files}


def ports():
    return servers.free_port(), servers.free_port()


def certificate(folder):
    """A self-signed ECDSA certificate for all: paths of chain and key."""
    chain, key = folder / "front.pem", folder / "front.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    command += ["-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}", "-keyout", key, "-out", chain]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    # HAProxy wants both in one file.
    (folder / "front.both").write_bytes(chain.read_bytes() + key.read_bytes())
    return chain, key


def back_end(stack, folder, root):
    """Answers `/1k` from memory and everything else from files; its port and its process."""
    port = servers.free_port()
    started = servers.nginx(stack, folder, "back", f"""
        sendfile on; tcp_nopush on;
        server {{
            listen 127.0.0.1:{port} backlog=4096; root {root};
            location = /1k {{ add_header X-Back end; return 200 "{'x' * 1024}"; }}
            location / {{ add_header X-Back end; }}
        }}""")
    servers.wait_for(f"127.0.0.1:{port}", "the back end")
    return port, started


def hop3(stack, folder, back, root, log):
    """Ours: one host behind which the back end is, and one with files."""
    program = contenders.build("hop3")
    server = servers.Hop3(stack, folder / "hop3", program, None, log=log)
    off = "enabled = false"
    files = f'[[route]]\nhosts = ["files.test"]\nstatic = "{root}"\n[route.waf]\n{off}\n'
    server.start(servers.route(HOST, back, off) + files)
    http, https = int(server.address.split(":")[1]), server.https
    return Front("hop3", http, https, http, server.process)


def nginx(stack, folder, back, root, log):
    """Debian's, with its defaults for files and TLS."""
    (http, https), files = ports(), servers.free_port()
    chain, key = folder / "front.pem", folder / "front.key"
    started = servers.nginx(stack, folder, "nginx", f"""
        sendfile on; tcp_nopush on; ssl_certificate {chain}; ssl_certificate_key {key};
        ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:all:10m; http2_max_concurrent_streams 128;
        upstream back {{ server 127.0.0.1:{back}; keepalive 128; keepalive_requests 1000000000; }}
        server {{
            listen 127.0.0.1:{http} backlog=4096; listen 127.0.0.1:{https} ssl http2 backlog=4096;
            location / {{
                proxy_pass http://back; proxy_http_version 1.1; proxy_set_header Connection "";
                proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr;
                proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Request-Id $request_id;
            }}
        }}
        server {{ listen 127.0.0.1:{files} backlog=4096; root {root}; }}""", access=log, connections=16384)
    return Front("nginx", http, https, files, started)


def haproxy(stack, folder, back, _root, log):
    """Debian's. It serves no files."""
    if not shutil.which("haproxy"):
        raise contenders.Unavailable("Debian's haproxy is not installed")
    http, https = ports()
    # It does not start with more than there are descriptors for, two for each connection.
    most = min(16384, resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 2 - 100)
    conf = folder / "haproxy.cfg"
    conf.write_text(f"""
global
    nbthread {CORES}
    maxconn {most}
    {"log stdout format raw local0" if log else ""}
defaults
    mode http
    {"log global" if log else ""}
    {"option httplog" if log else ""}
    timeout client 600s
    timeout server 60s
    timeout connect 5s
    http-reuse always
frontend front
    bind 127.0.0.1:{http}
    bind 127.0.0.1:{https} ssl crt {folder}/front.both alpn h2,http/1.1
    option forwardfor
    http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]
    unique-id-format %[uuid()]
    unique-id-header X-Request-Id
    default_backend back
backend back
    server one 127.0.0.1:{back}
""", encoding="utf-8")
    started = servers.process(stack, ["haproxy", "-db", "-q", "-f", str(conf)], folder / "haproxy.log")
    return Front("haproxy", http, https, None, started)


def caddy(stack, folder, back, root, log):
    """A pinned release, built once from its source."""
    program = caddy_program()
    (http, https), files = ports(), servers.free_port()
    logging = f"log {{\n output file {folder}/caddy.access\n }}" if log else ""
    conf = folder / "Caddyfile"
    proxy = f"reverse_proxy 127.0.0.1:{back} {{\n header_up X-Request-Id {{http.request.uuid}}\n }}\n {logging}"
    conf.write_text(f"""
{{
    admin off
    auto_https off
    persist_config off
    storage file_system {folder}/caddy
    servers {{
        protocols h1 h2
    }}
}}
http://{HOST}:{http} {{
    {proxy}
}}
https://{HOST}:{https} {{
    tls {folder}/front.pem {folder}/front.key
    {proxy}
}}
http://{HOST}:{files} {{
    root * {root}
    file_server
    {logging}
}}
""", encoding="utf-8")
    command = [str(program), "run", "--config", str(conf), "--adapter", "caddyfile"]
    started = servers.process(stack, command, folder / "caddy.log")
    return Front("caddy", http, https, files, started)


def caddy_program():
    found = shutil.which("caddy")
    built = caddy_built()
    if not built.exists():
        try:
            environment = dict(os.environ, GOBIN=str(built.parent))
            contenders.run(["go", "install", CADDY], env=environment)
        except contenders.Unavailable:
            # Debian's is old, but better than none.
            if not found:
                raise
            return pathlib.Path(found)
    return built


def caddy_built():
    """Where it is built; another version elsewhere."""
    return contenders.workspace() / f"caddy-{CADDY_VERSION}" / "caddy"


ALL = [hop3, nginx, haproxy, caddy]


def start(stack, folder, back, root, log, say):
    """All that can be had, in the order of the tables."""
    started = []
    for make in ALL:
        name = make.__name__
        own = folder / f"{name}-{'log' if log else 'quiet'}"
        own.mkdir()
        own.chmod(0o755)
        (own / "hop3").mkdir()
        for file in ("front.pem", "front.key", "front.both"):
            shutil.copy(folder / file, own / file)
        try:
            front = make(stack, own, back, root, log)
        except contenders.Unavailable as reason:
            say(f"{name} is left out: {reason}")
            continue
        for port in filter(None, front.ports.values()):
            servers.wait_for(f"127.0.0.1:{port}", name, front.process)
        started.append(front)
    return started


def versions():
    """What was measured, in words."""
    def first(command, pattern=None):
        try:
            ran = subprocess.run(command, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        lines = (ran.stdout + ran.stderr).splitlines()
        return next((line for line in lines if pattern is None or pattern in line), None)

    told = [first(["nginx", "-v"]), first(["haproxy", "-v"])]
    built = caddy_built()
    module = first(["go", "version", "-m", str(built)], "\tmod\t") if built.exists() else first(["caddy", "version"])
    told += [" ".join(module.split()[1:3]) if module and "mod" in module.split()[0] else module]
    return [text.split(" - ")[0].replace("nginx version: ", "") for text in told if text]
