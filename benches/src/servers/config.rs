//! Configurations for nginx, lighttpd and h2o: tuned for speed, with one worker. For a load with an
//! access log, the log has the server's default format.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::{
    rows::{SMALL, Shape, content},
    tls::Certificate,
};

/// What a configuration depends on.
#[derive(Debug)]
pub(super) struct Options<'a> {
    pub(super) dir: &'a Path,
    pub(super) address: SocketAddr,
    pub(super) load: Shape,
    /// The maximum number of connections.
    pub(super) connections: usize,
    /// The output of `nginx -V`, which says with which modules this nginx was built.
    pub(super) version_output: &'a str,
    /// The certificate, if the load uses TLS.
    pub(super) certificate: Option<&'a Certificate>,
    /// The path of the access log, if there is one.
    pub(super) log: Option<PathBuf>,
}

impl Options<'_> {
    /// The configuration of nginx. If the load requests [`SMALL`], the configuration contains the
    /// content, because nginx sends that faster than a file.
    pub(super) fn nginx(&self) -> String {
        let Self { dir, address, load, connections, version_output, certificate, log } = self;
        let dir = dir.display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .filter(|module| !version_output.contains(&format!("--without-http_{module}_module")))
            .map(|module| format!("  {module}_temp_path {dir}/{module};\n"))
            .collect();
        let small = match load.file() {
            Some(file) if file == SMALL => {
                let body = String::from_utf8(content(file.size)).unwrap_or_default();
                format!("location = /{} {{ return 200 \"{body}\"; }}", file.name)
            }
            _ => String::new(),
        };
        let gzip_static = match version_output.contains("gzip_static_module") {
            true => "gzip_static on;",
            false => "",
        };
        // `tcp_nopush` makes nginx send full packets. As measured, that saves CPU time for files of
        // up to some hundred KiB, and costs CPU time for larger files.
        let push = match load.file() {
            Some(file) if file.size >= 1 << 20 => "tcp_nopush off; sendfile_max_chunk 128k;",
            _ => "tcp_nopush on;",
        };
        let log = log.as_ref().map_or("off".to_owned(), |path| path.display().to_string());
        let ssl = if certificate.is_some() { " ssl" } else { "" };
        let http2 = if load.is_http2() { " http2" } else { "" };
        let tls = certificate.map_or_else(String::new, |files| {
            format!(
                "ssl_protocols TLSv1.3; ssl_certificate {}; ssl_certificate_key {};",
                files.certificate.display(),
                files.key.display()
            )
        });
        format!(
            "daemon off;\nmaster_process off;\npid {dir}/nginx.pid;\n\
             events {{ worker_connections {connections}; }}\n\
             http {{\n{temporary}\
             \x20 access_log {log};\n  sendfile on;\n  {push}\n  keepalive_requests 1000000000;\n\
             \x20 open_file_cache max=1000 inactive=60s;\n  open_file_cache_valid 1s;\n\
             \x20 types {{ text/html html; text/css css; text/javascript js; image/svg+xml svg; \
             text/plain txt; }}\n\
             \x20 server {{ listen {address}{ssl}{http2}; {tls} root {dir}/files; {gzip_static} {small} }}\n}}\n",
        )
    }

    pub(super) fn lighttpd(&self) -> String {
        let Self { dir, address, connections, log, .. } = self;
        let log = log.as_ref().map_or_else(String::new, |path| {
            format!(
                "server.modules += ( \"mod_accesslog\" )\naccesslog.filename = \"{}\"\n",
                path.display()
            )
        });
        format!(
            "server.document-root = \"{dir}/files\"\n\
             server.bind = \"{ip}\"\nserver.port = {port}\n\
             server.max-connections = {connections}\nserver.max-fds = {descriptors}\n\
             server.max-keep-alive-requests = 65535\n\
             {log}mimetype.assign = ( \".txt\" => \"text/plain\", \"\" => \"application/octet-stream\" )\n",
            dir = dir.display(),
            ip = address.ip(),
            port = address.port(),
            descriptors = connections + 1000,
        )
    }

    pub(super) fn h2o(&self) -> String {
        let Self { dir, address, connections, certificate, log, .. } = self;
        let log = log
            .as_ref()
            .map_or_else(String::new, |path| format!("access-log: {}\n", path.display()));
        let tls = certificate.map_or_else(String::new, |files| {
            format!(
                "  ssl:\n    certificate-file: {}\n    key-file: {}\n",
                files.certificate.display(),
                files.key.display()
            )
        });
        format!(
            "{log}num-threads: 1\nmax-connections: {connections}\nuser: {user}\n\
             listen:\n  host: {ip}\n  port: {port}\n{tls}\
             hosts:\n  default:\n    paths:\n      /:\n        file.dir: {dir}/files\n\
             \x20       file.send-compressed: ON\n",
            user = std::env::var("USER").unwrap_or_else(|_| "root".into()),
            dir = dir.display(),
            ip = address.ip(),
            port = address.port(),
        )
    }
}
