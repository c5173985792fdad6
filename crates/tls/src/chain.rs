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

/// The certificates of a file, in the order in which they are sent.
pub(crate) struct Chain {
    /// First the server's certificate, then the issuer of each, up to the one nearest to the root,
    /// then alternatives to intermediates, in the order of the file.
    pub(crate) links: Vec<ParsedCertificate>,
    /// Certificates that don't belong to the chain, in the order of the file.
    pub(crate) unrelated: Vec<ParsedCertificate>,
    /// Warnings about the order in the file, and about `unrelated`.
    pub(crate) warnings: Vec<WarningKind>,
}

/// Sorts certificates, of which the server's is at the index `first`. Duplicates are left out.
pub(crate) fn sort(links: Vec<ParsedCertificate>, first: usize) -> Chain {
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
    // An alternative to an intermediate (cross-signed: the same subject and another issuer) belongs
    // to the chain, too. Another certificate with the subject of the server's doesn't: it may be an
    // earlier one of this server, or of any other server if both subjects are empty. So the issuer
    // of a self-issued certificate, which has the certificate's own subject, is not looked for.
    let (alternatives, unrelated): (Vec<_>, Vec<_>) =
        rest.into_iter().partition(|(_, (_, facts))| {
            let mut links = sorted.iter().map(|(_, link)| link);
            links.any(|link| !link.is_self_issued() && facts.subject == link.issuer)
        });
    // The order is also wrong if an alternative comes before the last certificate of the chain.
    // This alone isn't warned of if there are unrelated certificates, which have a warning of their
    // own.
    let is_behind = |(at, _): &(usize, _)| order.last() < Some(at);
    let mut warnings = Vec::new();
    if !order.is_sorted() || (!alternatives.iter().all(is_behind) && unrelated.is_empty()) {
        warnings.push(WarningKind::Reordered);
    }
    if !unrelated.is_empty() {
        warnings.push(WarningKind::Unrelated(unrelated.len()));
    }
    let link = |(_, link)| link;
    sorted.extend(alternatives.into_iter().map(link));
    Chain { links: sorted, unrelated: unrelated.into_iter().map(link).collect(), warnings }
}
