//! The certificates of a server: the lines about them that are printed at the start, and the thread
//! that loads them again when their files change.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use sockeye::TlsAcceptor;
use sockeye::tls::{
    CertificateInfo, CertificateStore, Error, SelfSigned, Settings, Warning, WarningKind,
};
use tracing::{error, info, warn};

use crate::log::Log;
use crate::signals::OnHangup;
use crate::text;

/// How often the files are checked for changes.
const INTERVAL: Duration = Duration::from_secs(2);

/// How often the self-signed certificate is checked, and renewed if that is due.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// How many names of a certificate are shown at most.
const MAX_NAMES: usize = 5;
/// How many certificates are shown at most.
const MAX_CERTIFICATES: usize = 10;

/// The certificates of a server, and the files that they come from.
#[derive(Debug)]
pub(crate) struct Certificates {
    /// The files of all certificates: chain and key.
    pairs: Vec<[PathBuf; 2]>,
    store: CertificateStore,
    /// The certificate of `--tls self-signed`. `None` without this option.
    self_signed: Option<SelfSigned>,
    /// Why the files couldn't be loaded when they changed last. `None` after a successful load.
    failure: Option<LoadFailure>,
}

/// Why files couldn't be loaded. The old certificates are used meanwhile.
#[derive(Debug)]
struct LoadFailure {
    /// The log line.
    text: String,
    is_logged: bool,
}

impl Certificates {
    /// Reads the certificates in pairs of files: chain and key. `given` are those of `--tls`,
    /// `ordered` those that `--acme` orders and renews.
    pub(crate) fn open(
        given: Vec<[PathBuf; 2]>,
        ordered: Vec<[PathBuf; 2]>,
        settings: Settings,
        self_signed: Option<SelfSigned>,
    ) -> Result<Self, Error> {
        let pairs = [&given[..], &ordered].concat();
        let store = CertificateStore::with_ordered(given, ordered, settings)?;
        Ok(Self { pairs, store, self_signed, failure: None })
    }

    /// The files of all certificates: those of `--tls`, then those of `--acme`.
    pub(crate) fn pairs(&self) -> &[[PathBuf; 2]] {
        &self.pairs
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.store.acceptor()
    }

    /// Warns that Strict-Transport-Security is dangerous with a self-signed certificate.
    pub(crate) fn warn_of_hsts(&self) {
        if self.self_signed.is_some() {
            warn!(
                target: "sockeye",
                "--hsts with a self-signed certificate: a browser that trusts it will refuse every \
                 http:// URL of this host, such as localhost, at any port"
            );
        }
    }

    /// The host names of URLs that clients can use without a warning: those of all certificates
    /// except the self-signed one. Wildcards and IP addresses are left out.
    pub(crate) fn hosts(&self) -> Vec<String> {
        let all = self.store.certificates().iter().filter(|info| !self.is_self_signed(info));
        let names = all.flat_map(|info| &info.names);
        let is_host = |name: &&String| !name.starts_with('*') && name.contains(char::is_alphabetic);
        names.filter(is_host).filter(|name| !name.contains(':')).cloned().collect()
    }

    /// The lines about the certificates that are printed at the start.
    pub(crate) fn lines(&self, now: SystemTime) -> Vec<String> {
        let certificates = self.store.certificates();
        let line = |info| {
            let by = if self.is_self_signed(info) { "self-signed, for " } else { "" };
            format!("Certificate: {by}{}; {}.", names(info), expiry(info, now))
        };
        let mut lines: Vec<_> = certificates.iter().take(MAX_CERTIFICATES).map(line).collect();
        if let Some(certificate) = &self.self_signed {
            lines.extend([
                format!(
                    "Browsers warn of the self-signed certificate; curl accepts it with --cacert {}. SHA-256:",
                    text::shell_word(&certificate.certificate_path())
                ),
                certificate.info().fingerprint.to_string(),
            ]);
        }
        if let Some(more @ 1..) = certificates.len().checked_sub(MAX_CERTIFICATES) {
            lines.push(format!("And {} more.", text::count(more as u64, "certificate")));
        }
        lines
    }

    fn is_self_signed(&self, info: &CertificateInfo) -> bool {
        self.self_signed.as_ref().is_some_and(|own| own.pair()[0] == info.path)
    }

    /// Describes the certificate that clients get if they ask for `host`, and says whether it is
    /// for that host. `None`: their handshake is refused.
    pub(crate) fn explain(&self, host: &str, now: SystemTime) -> Option<(String, bool)> {
        let is_ip = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        // Clients send no server name (SNI) for an IP address.
        let info = self.store.certificate_for((!is_ip).then_some(host))?;
        let text = format!("{}, for {}; {}", info.path.display(), names(info), expiry(info, now));
        Some((text, info.is_for(host)))
    }

    /// Starts the thread that loads the files again when they change, renews the self-signed
    /// certificate, and warns before certificates expire. Calling the returned function makes the
    /// thread load the files at once; dropping the function ends the thread.
    pub(crate) fn watch(mut self, log: Log) -> io::Result<OnHangup> {
        let (sender, receiver) = sync_channel(1);
        let work = move || {
            self.warn();
            let mut renewed = Instant::now();
            loop {
                self.warn_of_expiry(SystemTime::now());
                if renewed.elapsed() >= RENEWAL_INTERVAL {
                    renewed = Instant::now();
                    self.renew();
                }
                match receiver.recv_timeout(INTERVAL) {
                    Ok(()) => self.load_now(&log),
                    Err(RecvTimeoutError::Timeout) => match self.load() {
                        None => {}
                        Some(Ok(line)) => {
                            info!(target: "sockeye", "{line}");
                            self.warn();
                        }
                        Some(Err(line)) => error!(target: "sockeye", "{line}"),
                    },
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
        };
        thread::Builder::new().name("certificates".into()).spawn(work)?;
        // If the channel is full, the files are about to be read, which serves this signal, too.
        Ok(Box::new(move |_: &Log| {
            let _ = sender.try_send(());
        }))
    }

    /// Loads the files after a SIGHUP. A success is printed whatever the value of `--log`. A
    /// failure is logged as an error, as it is without a signal, so that a search for errors in the
    /// log finds it.
    fn load_now(&mut self, log: &Log) {
        match self.store.reload() {
            Some(Ok(())) => {
                self.failure = None;
                log.print(self.loaded_line());
                self.warn();
            }
            Some(Err(error)) => {
                let failure = self
                    .failure
                    .insert(LoadFailure { text: failure_line(&error), is_logged: true });
                error!(target: "sockeye", "{}", failure.text);
            }
            None => match &mut self.failure {
                Some(failure) => {
                    failure.is_logged = true;
                    error!(target: "sockeye", "{}", failure.text);
                }
                None => log.print("the certificates have not changed"),
            },
        }
    }

    /// Loads the files if they have changed. Returns the line to log: what was loaded, or why the
    /// files couldn't be loaded. The call that finds a failure returns `None`, and the next call
    /// returns the failure, unless the files have changed again by then: the files of a certificate
    /// and of its key can't be replaced at the same time, so the first call may see only one of
    /// them replaced.
    fn load(&mut self) -> Option<Result<String, String>> {
        match self.store.reload() {
            Some(Ok(())) => {
                self.failure = None;
                Some(Ok(self.loaded_line()))
            }
            Some(Err(error)) => {
                self.failure = Some(LoadFailure { text: failure_line(&error), is_logged: false });
                None
            }
            None => {
                let failure = self.failure.as_mut().filter(|failure| !failure.is_logged)?;
                failure.is_logged = true;
                Some(Err(failure.text.clone()))
            }
        }
    }

    /// Makes the self-signed certificate again if it expires soon, lacks a name, or is missing or
    /// damaged. The thread then loads the new one, as it loads all files that have changed.
    fn renew(&mut self) {
        if let Some(Err(error)) = self.self_signed.as_mut().map(SelfSigned::renew) {
            error!(target: "sockeye", "cannot renew the self-signed certificate: {error}");
        }
    }

    /// Logs warnings about the certificates in use.
    fn warn(&self) {
        // A certificate of --acme may be missing: the log lines about its order say more.
        let is_missing = |warning: &&Warning| warning.kind == WarningKind::Missing;
        for warning in self.store.warnings().iter().filter(|warning| !is_missing(warning)) {
            warn!(target: "sockeye", "{warning}");
        }
    }

    /// Logs a warning for each certificate that has expired or soon will, at most once an hour.
    fn warn_of_expiry(&mut self, now: SystemTime) {
        for info in self.store.expiring(now) {
            let path = info.path.display();
            warn!(
                target: "sockeye", %path,
                "renew the certificate for {}: {}", names(&info), expiry(&info, now)
            );
        }
    }

    /// The log line that says which certificates were loaded.
    fn loaded_line(&self) -> String {
        let now = SystemTime::now();
        let certificates = self.store.certificates();
        let shown = certificates.iter().take(MAX_CERTIFICATES);
        let shown = shown.map(|info| format!("{} ({})", names(info), expiry(info, now)));
        let mut line = format!("loaded the certificates: {}", shown.collect::<Vec<_>>().join("; "));
        if let Some(more @ 1..) = certificates.len().checked_sub(MAX_CERTIFICATES) {
            line += &format!("; and {more} more");
        }
        line
    }
}

/// The log line of a failed load.
fn failure_line(error: &Error) -> String {
    format!("still using the old certificates: {error}")
}

/// The names of a certificate, at most [`MAX_NAMES`], or the path of its file if it has no name.
fn names(info: &CertificateInfo) -> String {
    match &info.names[..] {
        [] => format!("no name ({})", info.path.display()),
        names if names.len() <= MAX_NAMES => names.join(", "),
        names => {
            format!("{} and {} more", names[..MAX_NAMES].join(", "), names.len() - MAX_NAMES)
        }
    }
}

/// When a certificate expires: `expires 2027-02-24, in 90 days`.
fn expiry(info: &CertificateInfo, now: SystemTime) -> String {
    const DAY: u64 = 24 * 60 * 60;
    let date = text::date(info.not_after);
    match info.left(now).map(|left| left.as_secs()) {
        None => format!("expired {date}"),
        Some(left @ ..DAY) => {
            format!("expires {date}, in {}", text::count(left.div_ceil(3600), "hour"))
        }
        Some(left) => format!("expires {date}, in {}", text::count(left / DAY, "day")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use sockeye::tls::self_signed;

    use super::*;

    /// A temporary folder, deleted on drop.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("sockeye-certificates-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn pair(&self) -> [PathBuf; 2] {
            ["cert.pem", "key.pem"].map(|file| self.0.join(file))
        }

        /// Makes a new certificate and its key. `parts` says which of the two files are written.
        fn issue(&self, names: &[&str], parts: [bool; 2]) {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            let (_, pem) = self_signed(names).unwrap();
            for ((path, pem), is_written) in self.pair().iter().zip(pem).zip(parts) {
                if is_written {
                    fs::write(path, pem).unwrap();
                }
            }
        }

        fn open(&self) -> Certificates {
            Certificates::open(vec![self.pair()], Vec::new(), Settings::default(), None).unwrap()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_fault_is_logged_once_if_it_lasts() {
        let folder = Folder::new("fault");
        folder.issue(&["a.example"], [true, true]);
        let mut certificates = folder.open();
        assert_eq!(certificates.load(), None);
        // The certificate is written before its key.
        folder.issue(&["b.example"], [true, false]);
        assert_eq!(certificates.load(), None);
        folder.issue(&["c.example"], [true, true]);
        let line = certificates.load().unwrap().unwrap();
        assert!(line.starts_with("loaded the certificates: c.example (expires "), "{line}");
        assert_eq!(certificates.load(), None);
        folder.issue(&["d.example"], [false, true]);
        assert_eq!(certificates.load(), None);
        let line = certificates.load().unwrap().unwrap_err();
        assert!(line.starts_with("still using the old certificates: the key in "), "{line}");
        assert_eq!([certificates.load(), certificates.load()], [None, None]);
        // Another failure.
        fs::remove_file(&folder.pair()[1]).unwrap();
        assert_eq!(certificates.load(), None);
        let line = certificates.load().unwrap().unwrap_err();
        assert!(line.contains("key.pem"), "{line}");
        assert_eq!(certificates.load(), None);
    }

    #[test]
    fn many_names_and_the_time_that_is_left_are_shortened() {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        let folder = Folder::new("names");
        let all: Vec<String> = (0..7).map(|number| format!("a{number}.example")).collect();
        folder.issue(&all.iter().map(String::as_str).collect::<Vec<_>>(), [true, true]);
        let certificates = folder.open();
        let [info] = certificates.store.certificates() else { panic!("one certificate") };
        let names = "a0.example, a1.example, a2.example, a3.example, a4.example and 2 more";
        let date = text::date(info.not_after);
        for (now, expected) in [
            (info.not_after - 2 * DAY, format!("expires {date}, in 2 days")),
            (info.not_after - DAY, format!("expires {date}, in 1 day")),
            (info.not_after - DAY / 2, format!("expires {date}, in 12 hours")),
            (info.not_after - DAY / 1000, format!("expires {date}, in 1 hour")),
            (info.not_after + DAY, format!("expired {date}")),
        ] {
            assert_eq!(certificates.lines(now), [format!("Certificate: {names}; {expected}.")]);
        }
        assert_eq!(certificates.hosts(), all);
        assert_eq!(Path::new(&info.path), folder.pair()[0]);
    }
}
