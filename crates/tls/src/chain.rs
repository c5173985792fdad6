//! Puts the certificates of a file into the order of a chain.

use rustls::pki_types::CertificateDer;

use crate::warning::WarningKind;
use crate::x509::CertificateFields;

/// Maximum number of certificates in the file of a chain. A full handshake sends all of them,
/// except duplicates. Chains of public authorities have up to four certificates. Bundles of root
/// certificates have more than a hundred: a bundle that is given instead of a chain is refused.
pub(crate) const MAX_CHAIN: usize = 16;

/// A certificate, and the facts read from it.
pub(crate) type ParsedCertificate = (CertificateDer<'static>, CertificateFields);

/// Sorts certificates: first the server's, which is at the index `first`, then the issuer of each,
/// up to the one nearest to the root. Certificates that aren't in this chain come last, in the
/// order of the file. Duplicates are left out. Also returns warnings about the order and about
/// certificates that don't belong to the chain.
pub(crate) fn sort(
    links: Vec<ParsedCertificate>,
    first: usize,
) -> (Vec<ParsedCertificate>, Vec<WarningKind>) {
    let mut rest: Vec<(usize, ParsedCertificate)> = Vec::with_capacity(links.len());
    for (at, link) in links.into_iter().enumerate() {
        // `first` is the first copy of the server's certificate, so it is never left out here.
        if !rest.iter().any(|(_, (der, _))| *der == link.0) {
            rest.push((at, link));
        }
    }
    let mut order = Vec::with_capacity(rest.len());
    let mut sorted: Vec<ParsedCertificate> = Vec::with_capacity(rest.len());
    let mut next = rest.iter().position(|(at, _)| *at == first);
    while let Some(at) = next {
        let (at, link) = rest.remove(at);
        order.push(at);
        next = match link.1.is_self_issued() {
            true => None,
            false => rest.iter().position(|(_, (_, other))| other.subject == link.1.issuer),
        };
        sorted.push(link);
    }
    let mut warnings = Vec::new();
    // An alternative to an intermediate (cross-signed: the same subject and another issuer) belongs
    // to the chain, too.
    let unrelated = rest
        .iter()
        .filter(|(_, (_, facts))| {
            !sorted
                .iter()
                .any(|(_, link)| facts.subject == link.issuer || facts.subject == link.subject)
        })
        .count();
    // The order is also wrong if an alternative comes before the last certificate of the chain. If
    // there are unrelated certificates, their own warning is enough.
    if !order.is_sorted() || (rest.iter().any(|(at, _)| order.last() > Some(at)) && unrelated == 0)
    {
        warnings.push(WarningKind::Reordered);
    }
    if unrelated > 0 {
        warnings.push(WarningKind::Unrelated(unrelated));
    }
    sorted.extend(rest.into_iter().map(|(_, link)| link));
    (sorted, warnings)
}
