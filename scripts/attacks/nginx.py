"""nginx, as a proxy in front of Sockeye, and as a server to compare with."""

import getpass
import os
import pathlib
import shutil
import socket
import subprocess

from program import TIMEOUT, Usage, until

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")

# Responses are not written to temporary files, so that a client that doesn't read blocks the server
# behind the proxy. X-Forwarded-For has each client's own address.
PROXY = """
    upstream behind {{ server {host}:{port}; keepalive 16; }}
    server {{
        listen {listen};
        location / {{
            proxy_pass http://behind;
            proxy_http_version 1.1;
            proxy_max_temp_file_size 0;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
        }}
    }}
"""

FILES = """
    server {{ listen {listen}; root {root}; autoindex on; }}
"""

CONFIG = """
daemon off;
user {user};
worker_processes {workers};
worker_rlimit_nofile 8192;
pid {directory}/pid;
error_log {directory}/error.log;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    sendfile on;
    gzip on;
    gzip_types text/plain;
    types {{ text/html html; text/plain txt; }}
    default_type application/octet-stream;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    scgi_temp_path {directory}/scgi;
    uwsgi_temp_path {directory}/uwsgi;
    {server}
}}
"""


class Nginx:
    """A running nginx, for a `with` statement. It inherits a listener, so that the port is free."""

    def __init__(self, directory, server, workers=2, connections=4096, **values):
        directory = pathlib.Path(directory) / "nginx"
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
            self.address = listener.getsockname()
            listen = "{}:{}".format(*self.address)
            config = directory / "nginx.conf"
            config.write_text(CONFIG.format(
                user=getpass.getuser(), directory=directory, workers=workers,
                connections=connections, server=server.format(listen=listen, **values)))
            self.process = subprocess.Popen(
                [NGINX, "-c", config, "-e", directory / "error.log"],
                env={**os.environ, "NGINX": f"{listener.fileno()};"}, pass_fds=[listener.fileno()],
                stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        if not until(lambda: len(children.read_text().split()) >= workers, TIMEOUT):
            self.__exit__()
            raise RuntimeError((directory / "error.log").read_text()[-500:])
        self.usage = Usage([self.process.pid, *map(int, children.read_text().split())])

    def alive(self):
        return self.process.poll() is None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()  # without waiting for connections
        try:
            self.process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
