"""Servers for the measurements over loopback: started for one run, ended with it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

# Written by the server when SIGHUP was followed.
RELOADED = b"the configuration was loaded anew"
# Printed when routes and rulesets are in force; it listens before.
READY = b"is ready"


def back_end(stack, folder):
    """Answers every request with 1 KB; its port and its process."""
    port = free_port()
    started = nginx(stack, folder, "back", f"""
        server {{ listen 127.0.0.1:{port} backlog=1024; location / {{ return 200 "{'x' * 1024}"; }} }}""")
    wait_for(f"127.0.0.1:{port}", "the back end")
    return port, started


def nginx(stack, folder, name, servers, module=False, access=True, connections=1024):
    """Starts an nginx with one worker per core, with access log as it is by default unless `access` says otherwise."""
    load = "load_module modules/ngx_http_modsecurity_module.so;" if module else ""
    conf = folder / f"{name}.nginx"
    log = folder / f"{name}.log"
    access = folder / f"{name}.access" if access and name != "back" else "off"
    conf.write_text(f"""{load}
    daemon off; worker_processes {os.cpu_count()}; pid {folder}/{name}.pid; error_log {log};
    worker_rlimit_nofile {connections * 2}; events {{ worker_connections {connections}; }}
    http {{
        access_log {access}; keepalive_requests 1000000000; keepalive_timeout 600;
        client_body_temp_path {folder}/{name}-body; proxy_temp_path {folder}/{name}-proxy;
        fastcgi_temp_path {folder}/{name}-f; uwsgi_temp_path {folder}/{name}-u; scgi_temp_path {folder}/{name}-s;
        client_body_buffer_size 128k; large_client_header_buffers 8 16k;
        {servers}
    }}
    """, encoding="utf-8")
    # Debian's modules are found below its prefix.
    run = ["nginx", "-p", "/usr/share/nginx", "-c", str(conf), "-e", str(log)]
    return process(stack, run, folder / f"{name}.out")


class Hop3:
    """A server with a data directory of its own."""

    def __init__(self, stack, folder, program, crs=None, log=True):
        self.program, self.data, self.config = program, folder / "data", folder / "hop3-server.toml"
        self.log, self.stack = folder / "hop3.log", stack
        self.address, self.https = f"127.0.0.1:{free_port()}", free_port()
        self.listen = (
            f'[server.listen]\nhttp = "{self.address}"\nhttps = "127.0.0.1:{self.https}"\nadmin = false\n'
            f"[server.log]\naccess = {str(log).lower()}\n"
        )
        self.configure("")
        if crs is None:
            return
        with contextlib.ExitStack() as first:
            self._start(first)
            install = [program, "--data", self.data, "rules", "install", "owasp-crs", "--from", crs]
            subprocess.run(list(map(str, install)), check=True, capture_output=True)

    def start(self, routes):
        """Starts the server with its routes."""
        self.configure(routes)
        self._start(self.stack)

    def configure(self, routes):
        self.config.write_text(self.listen + routes, encoding="utf-8")

    def reload(self):
        """Has it read its configuration again; seconds until that was done."""
        before = self.log.read_bytes().count(RELOADED)
        begin = time.monotonic()
        self.process.send_signal(signal.SIGHUP)
        while self.log.read_bytes().count(RELOADED) == before:
            if self.process.poll() is not None or time.monotonic() - begin > 300:
                sys.exit(f"the server did not reload:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.005)
        return time.monotonic() - begin

    def resident_mb(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:")) / 1024

    def _start(self, stack):
        command = [self.program, "serve", "--data", self.data, "--config", self.config]
        self.process = process(stack, list(map(str, command)), self.log)
        wait_for(self.address, "hop3", self.process, self.log)
        while READY not in self.log.read_bytes():
            if self.process.poll() is not None:
                sys.exit(f"the server did not start:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.05)


def route(host, port, waf):
    return f'[[route]]\nhosts = ["{host}"]\nupstream = "http://127.0.0.1:{port}"\n[route.waf]\n{waf}\n'


def process(stack, command, log):
    """Starts a program; it is ended when the stack is."""
    with open(log, "wb") as out:
        started = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def end():
        started.terminate()
        try:
            started.wait(20)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()

    stack.callback(end)
    return started


def cpu_seconds(started):
    """CPU time of a process and its children so far."""
    ticks = 0
    for pid in family(started):
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            # After the name in brackets: user and system time are the 12th and 13th.
            fields = stat.read().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def proportional_kb(started):
    """Memory of a process and its children; what they share is counted once."""
    total = 0
    for pid in family(started):
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
            total += next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
    return total


def family(started):
    """A process and its children."""
    pids = [started.pid]
    with contextlib.suppress(OSError), open(f"/proc/{started.pid}/task/{started.pid}/children", encoding="ascii") as file:
        pids += map(int, file.read().split())
    return pids


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(address, name, running=None, log=None):
    host, port = address.split(":")
    for _ in range(1200):
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
            return
        if running and running.poll() is not None:
            break
        time.sleep(0.1)
    sys.exit(f"{name} does not listen on {address}" + (f":\n{log.read_text()[-2000:]}" if log else ""))
