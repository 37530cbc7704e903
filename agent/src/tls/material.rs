//! Certificates and keys, from PEM.

use std::borrow::Cow;
use std::path::PathBuf;

use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::config::{Pem, TlsVersion};
use crate::reload::{Unusable, read};

/// The files among them.
pub(super) fn files<'a>(pems: impl IntoIterator<Item = &'a Pem>) -> Vec<PathBuf> {
    let file = |pem: &'a Pem| match pem {
        Pem::File(setting) => Some(PathBuf::from(&setting.text)),
        Pem::Text(_) => None,
    };
    pems.into_iter().filter_map(file).collect()
}

/// What is spoken from one version to the other.
pub(super) fn versions(
    (min, max): (TlsVersion, TlsVersion),
) -> Vec<&'static rustls::SupportedProtocolVersion> {
    let all =
        [(TlsVersion::V1_2, &rustls::version::TLS12), (TlsVersion::V1_3, &rustls::version::TLS13)];
    all.into_iter()
        .filter(|(version, _)| (min..=max).contains(version))
        .map(|(_, tls)| tls)
        .collect()
}

/// Adds the CAs to those that are trusted.
pub(super) fn trust(pem: &Pem, roots: &mut RootCertStore) -> Result<(), Unusable> {
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(|error| Unusable::new(pem, error))?;
    }
    Ok(())
}

/// A certificate with those that lead to its CA, and the key that belongs to it.
pub(super) fn certified_key(certificate: &Pem, key: &Pem) -> Result<CertifiedKey, Unusable> {
    let (chain, der) = (certificates(certificate)?, private_key(key)?);
    CertifiedKey::from_der(chain, der, &ring::default_provider()).map_err(|error| {
        let why = format!("it does not belong to the certificate {certificate}: {error}");
        Unusable::new(key, why)
    })
}

fn certificates(pem: &Pem) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&content(pem)?).collect();
    match found {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(Unusable::new(pem, "there is no PEM certificate in it")),
        Err(error) => Err(Unusable::new(pem, error)),
    }
}

fn private_key(pem: &Pem) -> Result<PrivateKeyDer<'static>, Unusable> {
    PrivateKeyDer::from_pem_slice(&content(pem)?)
        .map_err(|error| Unusable::new(pem, format!("there is no PEM key in it: {error}")))
}

fn content(pem: &Pem) -> Result<Cow<'_, [u8]>, Unusable> {
    match pem {
        Pem::File(setting) => {
            read(setting.text.as_ref()).map(Cow::Owned).map_err(|error| Unusable::new(pem, error))
        }
        Pem::Text(setting) => Ok(Cow::Borrowed(setting.text.as_bytes())),
    }
}
