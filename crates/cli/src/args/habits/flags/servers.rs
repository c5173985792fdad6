//! The flags of other servers: `python -m http.server`, `npx serve`, http-server, miniserve, dufs,
//! `caddy file-server`, nginx, darkhttpd, `php -S` and others. Also [`LOGGING`], for all commands
//! with a log.

use super::types::Meaning::{self, Advice, Flag, Folder};
use super::types::{Table, TlsPart};
use crate::args::habits::texts;

const LISTING: Meaning = Advice("to list folders, write --listing");
const INDEX: Meaning = Advice(
    "index.html is the index page of a folder; to list folders without one, write --listing",
);
const TLS: Meaning =
    Advice("write --tls cert.pem,key.pem, or --tls self-signed for a certificate for development");
const CERTIFICATE: Meaning = Meaning::TlsPart(TlsPart::Certificate);
const KEY: Meaning = Meaning::TlsPart(TlsPart::Key);
const NO_PASSWORDS: Meaning = Advice(texts::NO_PASSWORDS);
const READ_ONLY: Meaning = Advice(texts::READ_ONLY);
const COMPRESSION: Meaning = Advice(
    "text is compressed by default; --compress gzip sends only gzip, and --compress none \
     compresses nothing",
);
const NO_COMPRESSION: Meaning = Advice("write --compress none");
const CACHE: Meaning = Advice("write --cache-control 'max-age=60'");
const NO_CACHE: Meaning =
    Advice("while you edit, write --fresh; to forbid caching always, --cache-control no-store");
const CORS: Meaning = Advice("write --cors '*' for every site, or --cors https://example.org");
const PREFIX: Meaning = Advice("write the path before the folder: sockeye http /docs=./docs");
const LINKS: Meaning = Advice(
    "links within the folder are followed, others are not; to allow links into another folder, \
     write --links-into FOLDER",
);
const HIDDEN: Meaning = Advice(
    "names that begin with a dot are never served, except /.well-known/; rename what is to be served",
);
const NO_BROWSER: Meaning = Advice("no browser is opened; open the URL that is printed");
const RELOAD: Meaning = Advice("write --live");
const NO_PROGRAMS: Meaning = Advice("files are sent as they are; no program or template is run");
const NO_METRICS: Meaning = Advice(texts::NO_METRICS);
const NO_HTTP3: Meaning =
    Advice("there is no HTTP/3; HTTP/2 is on by default, and a proxy in front can add HTTP/3");
const HTTP2: Meaning = Advice("HTTP/2 is on by default; --no-http2 turns it off");
const NO_PROXY: Meaning = Advice("requests are answered from folders, and forwarded to no server");
const NAMES: Meaning = Advice(
    "every host name gets the same folders; at a loopback address, --host NAME allows a name; \
     --acme NAME gets a certificate for one",
);
const ACME: Meaning =
    Advice("write --acme www.example.org, which gets a certificate from Let's Encrypt");

/// For every command with a log.
pub(super) const LOGGING: Table = &[
    (
        &["-v", "--verbose", "--debug"],
        Advice("for more log lines, write --log debug; for the version, sockeye --version"),
    ),
    (&["-q", "--quiet", "--silent", "--no-log"], Advice("for fewer log lines, write --log error")),
    (&["-V", "--version"], Advice("write sockeye --version")),
    (&["--log-level", "--loglevel"], Flag("--log")),
];

/// For every server.
pub(super) const SERVER: Table = &[
    (
        &["-b", "--bind", "--addr", "--address", "--ip", "--hostname", "--interfaces"],
        Flag("--listen"),
    ),
    (
        &["-a"],
        Advice("to listen at an address, write --listen ADDR; there are no users and passwords"),
    ),
    (
        &["-S"],
        Advice("for TLS, write --tls cert.pem,key.pem; to listen at an address, --listen ADDR"),
    ),
    (&["--unix", "--socket", "--unix-socket", "--sock"], Advice("write --listen unix:PATH")),
    (&["-P"], Advice("to listen at a port, write --port PORT")),
    (&["--config", "--conf", "--configuration"], Advice(texts::NO_CONFIGURATION)),
    (
        &["-t", "-T", "--test", "--validate", "--check", "--check-config", "--dry-run"],
        Advice(texts::NO_TEST),
    ),
    (
        &["--threads", "--num-threads", "--worker-processes", "--worker_processes"],
        Flag("--workers"),
    ),
    (&["-j", "-w"], Advice("write --workers N")),
    (
        &[
            "--maxconn",
            "--max-conns",
            "--connections",
            "--worker-connections",
            "--worker_connections",
        ],
        Flag("--max-connections"),
    ),
    (&["--limit-conn", "--limit_conn"], Flag("--max-connections-per-address")),
    (
        &["--rate-limit", "--limit-req", "--limit_req", "--limit-rate", "--limit_rate"],
        Advice(
            "there is no limit on requests or bytes per second: set it in a proxy in front, such as \
             nginx",
        ),
    ),
    (
        &["--timeout", "--keepalive-timeout", "--keep-alive-timeout"],
        Advice("write --idle-timeout TIME; --help-all lists the other timeouts"),
    ),
    (
        &["--keep-alive", "--keepalive", "--no-keep-alive"],
        Advice("connections stay open for further requests; --idle-timeout TIME says for how long"),
    ),
    (
        &["--metrics", "--prometheus", "--stats", "--statistics", "--telemetry", "--otel"],
        NO_METRICS,
    ),
    (&["--http3", "--h3", "--quic", "--http-3"], NO_HTTP3),
    (
        &["--health", "--healthcheck", "--health-check", "--healthz", "--status"],
        Advice("sockeye health URL says whether a server responds"),
    ),
    (
        &["--allow", "--deny", "--allow-ip", "--deny-ip", "--whitelist", "--blacklist"],
        Advice(
            "clients are not selected by their address: use a firewall or a proxy in front; --listen \
             says at which addresses of this machine they can connect",
        ),
    ),
    (
        &["-6", "-4", "--ipv6", "--ipv4"],
        Advice("write --listen [::1]:PORT or --listen 127.0.0.1:PORT; --listen :PORT has both"),
    ),
    (
        &[
            "--cert",
            "--certificate",
            "--certfile",
            "--cert-file",
            "--tls-cert",
            "--tls-certificate",
            "--ssl-cert",
            "--ssl-certfile",
            "--ssl-certificate",
            "--ssl_certificate",
            "--http2-tls-cert",
        ],
        CERTIFICATE,
    ),
    (
        &[
            "--key",
            "--private-key",
            "--keyfile",
            "--key-file",
            "--tls-key",
            "--ssl-key",
            "--ssl-keyfile",
            "--ssl-certificate-key",
            "--ssl_certificate_key",
            "--http2-tls-key",
            "-K",
        ],
        KEY,
    ),
    (&["--ssl", "--https", "--secure", "--self-signed", "--selfsigned"], TLS),
    (
        &[
            "--client-certificate",
            "--ssl-client-certificate",
            "--mtls",
            "--ssl-ca-certs",
            "--ca",
            "--cacert",
        ],
        Advice("write --client-ca FILE, with the certificates of the authorities"),
    ),
    (
        &["--tls-min", "--tls-min-version", "--ssl-protocols", "--ssl_protocols"],
        Advice("TLS 1.3 and 1.2 are spoken, and nothing older; this can't be changed"),
    ),
    (
        &["--ciphers", "--ssl-ciphers", "--ssl_ciphers"],
        Advice("the cipher suites can't be changed; all of them are safe"),
    ),
    (
        &["--ssl-pass", "--key-pass", "--passphrase"],
        Advice(
            "encrypted keys are not supported: openssl pkey -in key.pem -out new.pem decrypts one",
        ),
    ),
    (
        &[
            "--daemon",
            "--daemonize",
            "-D",
            "--background",
            "--systemd",
            "-f",
            "--foreground",
            "--pidfile",
            "--pid-file",
            "--pid",
        ],
        Advice("it runs in the foreground; end the line with &, or let systemd start it"),
    ),
    (
        &["--user", "--uid", "--gid", "--chroot"],
        Advice("start it as that user: with sudo -u USER, or User= of systemd"),
    ),
    (
        &["--log-file", "--logfile", "--error-log", "--error_log"],
        Advice("the log goes to standard error: append 2> FILE; --access-log FILE logs requests"),
    ),
];

/// For `sockeye http` and `sockeye explain`.
pub(super) const FOLDERS: Table = &[
    (
        &[
            "--directory",
            "-d",
            "--dir",
            "--root",
            "-r",
            "--root-dir",
            "--docroot",
            "--document-root",
            "--webroot",
            "--folder",
        ],
        Folder,
    ),
    (
        &[
            "--list",
            "--ls",
            "--autoindex",
            "--auto-index",
            "--browse",
            "--dirlist",
            "--dir-listing",
            "--directory-listing",
            "--show-listing",
            "--render-index",
        ],
        LISTING,
    ),
    (&["-i"], Advice("to list folders, write --listing; to listen at an address, --listen ADDR")),
    (&["--index", "--index-file"], INDEX),
    (
        &["--no-index", "--no-autoindex", "--no-list", "--no-dir-listing", "--disable-indexing"],
        Advice("without --listing, no other machine gets a list of a folder"),
    ),
    (&["--single", "--single-page", "--render-spa", "--history-fallback"], Flag("--spa")),
    (
        &["-s"],
        Advice(
            "for a single-page app, write --spa; for fewer log lines, --log error; to stop a server, \
             send it SIGTERM",
        ),
    ),
    (
        &[
            "--auth",
            "--auth-file",
            "--basic-auth",
            "--basicauth",
            "--auth-basic",
            "--password",
            "--passwd",
            "--pass",
            "--htpasswd",
            "--username",
            "--login",
            "--token",
        ],
        NO_PASSWORDS,
    ),
    (
        &[
            "--upload",
            "--upload-files",
            "--uploads",
            "--allow-upload",
            "--allow-delete",
            "--client-max-body-size",
            "--client_max_body_size",
            "--allow-all",
            "-A",
            "--mkdir",
            "--overwrite-files",
            "--webdav",
            "--put",
            "--post",
            "--delete",
            "--write",
            "--writable",
            "--max-upload",
            "--max-upload-size",
            "--upload-dir",
            "--upload-folder",
        ],
        READ_ONLY,
    ),
    (&["--gzip", "-g", "--gz", "--brotli", "--zstd", "--compression", "-z"], COMPRESSION),
    (&["--no-compression", "--no-compress", "--no-gzip"], NO_COMPRESSION),
    (&["--enable-cors", "--allow-origin"], CORS),
    (
        &["-c"],
        Advice(
            "there is no configuration file; write flags, or set environment variables, as \
             SOCKEYE_LISTEN for --listen; for caching, write --cache-control 'max-age=60'",
        ),
    ),
    (&["-u"], Advice("folders are served read-only; to compress nothing, write --compress none")),
    (&["-C"], Advice("for other sites, write --cors '*'; for TLS, --tls cert.pem,key.pem")),
    (&["--cache", "--max-age", "--cache-time"], CACHE),
    (&["--no-cache", "--nocache", "--disable-cache", "--no-store"], NO_CACHE),
    (
        &["--etag", "--no-etag"],
        Advice("every file has an ETag; up to the size --hash-up-to, it is a hash of the content"),
    ),
    (&["--open", "-o", "--open-browser", "--browser"], NO_BROWSER),
    (&["--watch", "--reload", "--live-reload", "--livereload", "--hot"], RELOAD),
    (
        &[
            "--prefix",
            "--route-prefix",
            "--path-prefix",
            "--base",
            "--base-path",
            "--alias",
            "--mount",
        ],
        PREFIX,
    ),
    (
        &[
            "--symlinks",
            "--follow-symlinks",
            "--allow-symlink",
            "--follow-links",
            "--no-symlinks",
            "-L",
        ],
        LINKS,
    ),
    (
        &["--exclude", "--ignore", "--hide"],
        Advice(
            "names that begin with a dot are not served, and everything else is: to exclude a \
             file, move it out of the folder",
        ),
    ),
    (&["--http2", "--h2"], HTTP2),
    (&["-H", "--hidden", "--dotfiles", "--show-hidden", "--all"], HIDDEN),
    (
        &["--mime", "--mimetypes", "--mime-types", "--mime-type", "--default-mimetype"],
        Advice("write --content-type '*.foo: text/x-foo'"),
    ),
    (&["--headers", "--add-header", "--custom-header"], Advice("write --header 'NAME: VALUE'")),
    (
        &["--404", "--error-page", "--page404", "--not-found"],
        Advice("404.html in the folder is the page for missing files"),
    ),
    (
        &["--tar", "--zip", "--archive", "--enable-tar", "--enable-zip", "--allow-archive"],
        Advice("with --listing, ?format=tar after a folder's URL downloads it"),
    ),
    (&["--ext", "-e", "--clean-urls"], Advice("/about serves about.html by default")),
    (&["--cgi", "--php", "--templates", "--ssi"], NO_PROGRAMS),
    (&["--proxy", "--forward", "--reverse-proxy", "--upstream"], NO_PROXY),
    (
        &["--behind-proxy", "--real-ip", "--trust-proxy"],
        Advice("write --trusted-proxy with the proxy's address, as 127.0.0.1"),
    ),
    (
        &["--set-real-ip-from", "--set_real_ip_from", "--trusted-proxies", "--forwarded-allow-ips"],
        Flag("--trusted-proxy"),
    ),
    (
        &["--try-files", "--try_files", "--fallback"],
        Advice("/about serves about.html by default; for a single-page app, write --spa"),
    ),
    (&["--domain", "--server-name", "--vhost", "--virtual-host"], NAMES),
    (&["--letsencrypt", "--lets-encrypt", "--autocert", "--auto-https", "--certbot"], ACME),
    (&["--email"], Flag("--acme-email")),
    (&["--staging", "--test-cert"], Advice("write --acme-directory staging")),
    (
        &["--redirect", "--redirect-https", "--redirect-to-https", "--force-https", "--https-only"],
        Advice("write --https-redirect"),
    ),
    (&["--accesslog", "--access_log", "--request-log"], Flag("--access-log")),
    (&["--log-format"], Flag("--access-log-format")),
    (
        &["--no-request-logging"],
        Advice("requests are not logged to a file, unless --access-log FILE is given"),
    ),
    (
        &["--websocket", "--websockets", "--ws"],
        Advice(
            "folders are sent as files; sockeye echo --websocket echoes messages, and --live uses a \
             WebSocket to reload pages",
        ),
    ),
];

/// For `sockeye message`: other names of its flags, and flags that it doesn't need.
pub(super) const MESSAGE: Table = &[
    (&["--max-message", "--max-message-size"], Flag("--max-content")),
    (&["--http2", "--h2"], HTTP2),
    (
        &["--websocket", "--websockets", "--ws"],
        Advice("it is not needed: the port opens WebSockets, too, at ws://HOST:PORT/"),
    ),
];

/// For `sockeye echo`: other names of its flags, and flags that it doesn't need.
pub(super) const ECHO: Table = &[
    (&["--websockets", "--ws"], Flag("--websocket")),
    (
        &["--http2", "--h2"],
        Advice(
            "with --websocket, HTTP/2 is on by default; otherwise bytes are echoed, without HTTP",
        ),
    ),
    (&["--max-content", "--max-message-size"], Flag("--max-message")),
];
