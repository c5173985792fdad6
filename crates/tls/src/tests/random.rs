//! No content of a file causes a panic, and text around blocks changes nothing.

use proptest::prelude::*;

use super::Folder;
use crate::Certificate;
use crate::pem::Pem;
use crate::x509::CertificateFields;

const TEXT: &str = include_str!("fixtures/text.pem");
const KEY: &str = include_str!("fixtures/ec-pkcs8.pem");

proptest! {
    #[test]
    fn bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Pem::parse(&bytes);
        let _ = CertificateFields::parse(&bytes);
        // As in DER.
        let _ = Pem::parse(&[&[0x30], &bytes[..]].concat());
    }

    #[test]
    fn blocks_with_a_change_are_read_or_refused(
        at in 0..TEXT.len(),
        removed in 0..40_usize,
        inserted in prop::collection::vec(any::<u8>(), 0..4),
    ) {
        let mut bytes = TEXT.as_bytes().to_vec();
        bytes.splice(at..(at + removed).min(TEXT.len()), inserted);
        let folder = Folder::new();
        let both = folder.file("both.pem", bytes);
        if let Err(error) = Certificate::from_files(&both, &both) {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn certificates_with_a_change_are_read_or_refused(at in any::<prop::sample::Index>(), byte: u8) {
        let pem = Pem::parse(TEXT.as_bytes()).unwrap();
        let mut der = pem.certificates[0].to_vec();
        let at = at.index(der.len());
        der[at] = byte;
        let _ = CertificateFields::parse(&der);
        let _ = Pem::parse(&der);
    }

    #[test]
    fn text_around_blocks_is_skipped(
        before in "[ -,.-~\n\r\t]{0,80}",
        between in "[ -,.-~\n\r\t]{0,80}",
        after in "[ -,.-~\n\r\t]{0,80}",
    ) {
        let text = format!("{before}\n{KEY}{between}\n{TEXT}{after}");
        let pem = Pem::parse(text.as_bytes()).unwrap();
        prop_assert_eq!((pem.certificates.len(), pem.keys.len()), (1, 2));
    }
}
