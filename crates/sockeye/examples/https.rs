//! HTTPS, with a certificate that may be replaced while the service runs. The response shows the
//! TLS version, the cipher suite, and the subject of the client's certificate.
//!
//! ```console
//! $ openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -subj /CN=localhost \
//!     -addext subjectAltName=DNS:localhost
//! $ cargo run --features tls --example https 127.0.0.1:8443 cert.pem key.pem &
//! $ curl --cacert cert.pem https://localhost:8443/
//! TLSv1.3 with TLS_AES_256_GCM_SHA384, no client certificate
//! ```
//!
//! An optional fourth argument is a file with CA certificates, which verify clients' certificates.

use std::error::Error;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use sockeye::http::{self, Body, Options, Request, Serving};
use sockeye::tls::{self, CertificateStore, ClientCa, Settings};
use sockeye::{ListenAddr, Peer};

/// The files of the certificate with its chain, and of its key.
type Pair = [PathBuf; 2];

pub(crate) fn serve(
    address: ListenAddr,
    pair: Pair,
    client_ca: Option<PathBuf>,
) -> Result<(Serving, CertificateStore), Box<dyn Error>> {
    // Clients without a certificate are answered, too.
    let client_ca = client_ca.map(|path| ClientCa { path, required: false });
    let store = CertificateStore::open(vec![pair], Settings { client_ca, ..Settings::default() })?;
    let options = Options::default().with_tls(store.acceptor());
    Ok((http::serve(&[address], options, answer)?, store))
}

fn answer(request: Request<Body>) -> String {
    let peer = request.extensions().get::<Peer>();
    let Some(tls) = peer.and_then(|peer| peer.tls.as_deref()) else { return "no TLS\n".into() };
    let client = tls.client_certificates.first().and_then(|certificate| tls::subject(certificate));
    let client = client.unwrap_or_else(|| "no client certificate".into());
    format!("{} with {}, {client}\n", tls.version, tls.cipher_suite)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(address), Some(certificate), Some(key)) = (args.next(), args.next(), args.next())
    else {
        return Err("usage: https ADDRESS CERTIFICATE KEY [CLIENT_CA]".into());
    };
    let pair = [certificate.into(), key.into()];
    let (serving, mut store) = serve(address.parse()?, pair, args.next().map(Into::into))?;
    println!("Listening at https://{}", serving.addresses()[0]);
    thread::spawn(move || {
        loop {
            thread::sleep(Duration::from_secs(5));
            match store.reload() {
                // No file has changed since the last call.
                None => {}
                Some(Ok(())) => println!("new certificates"),
                Some(Err(error)) => eprintln!("keeping the old certificates: {error}"),
            }
        }
    });
    // Serves until the process ends. The example `graceful_stop` shows how to stop earlier.
    serving.join()?;
    Ok(())
}
