//! TLS by rustls, for the program `nanny-tls`. A certificate is judged by rustls;
//! ours is whom it may be signed by: of the file of trusted certificates only those
//! that the server's chain names are kept, and only while it is judged (all that a
//! system trusts would be 380 KiB in each process).

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read as _, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};

use super::conversation::ANSWER_MAX;
use super::secure::Session;
use crate::probe::{Tls, certificate};

/// Where systems keep the certificates they trust: RHEL's, Debian's.
const SYSTEM: [&str; 2] = ["/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/certs/ca-certificates.crt"];

/// HTTP/2 in ALPN.
const HTTP2: &[u8] = b"h2";

/// What is said of who does not speak it.
const NO_HTTP2: &str = "the server does not agree to speak HTTP/2";

/// The most certificates that are read from a file.
const TRUSTED_MAX: usize = 10_000;

/// Begins TLS: see [`super::secure::Begin`].
///
/// # Errors
/// In words.
pub fn begin(tls: &Tls, to: IpAddr) -> Result<Box<dyn Session>, String> {
    let provider = Arc::new(ring::default_provider());
    let name = match &tls.name {
        Some(name) => ServerName::try_from(name.clone()).map_err(|_| format!("\"{name}\" is no name of a server"))?,
        None => ServerName::IpAddress(to.into()),
    };
    let verifier = Verifier { provider: provider.clone(), verify: tls.verify, file: tls.ca_file.clone() };
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = builder
        .map_err(|e| words(&e))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    // Each check is to see the certificate.
    config.resumption = Resumption::disabled();
    if tls.is_http2 {
        config.alpn_protocols = vec![HTTP2.to_vec()];
    }
    let connection = ClientConnection::new(Arc::new(config), name).map_err(|e| words(&e))?;
    Ok(Box::new(Client { connection, is_http2: tls.is_http2, taken: 0 }))
}

#[derive(Debug)]
struct Client {
    connection: ClientConnection,
    /// Nothing else may be spoken in it.
    is_http2: bool,
    /// How many bytes came, whatever was in them.
    taken: usize,
}

impl Client {
    fn flush(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(stream)?;
        }
        Ok(())
    }

    /// Takes what came; how many bytes that were.
    fn take(&mut self, stream: &mut TcpStream) -> io::Result<usize> {
        let got = self.connection.read_tls(stream)?;
        self.taken = self.taken.saturating_add(got);
        if self.taken > ANSWER_MAX {
            let why = format!("the server sends more than {ANSWER_MAX} bytes");
            return Err(io::Error::new(ErrorKind::InvalidData, why));
        }
        if let Err(e) = self.connection.process_new_packets() {
            // The alert says why, if it can be said.
            let _ = self.flush(stream);
            return Err(io::Error::new(ErrorKind::InvalidData, words(&e)));
        }
        Ok(got)
    }
}

impl Session for Client {
    fn handshake(&mut self, stream: &mut TcpStream) -> io::Result<bool> {
        self.flush(stream)?;
        if self.connection.is_handshaking() && self.take(stream)? == 0 {
            let why = "the server closed the connection in the handshake";
            return Err(io::Error::new(ErrorKind::InvalidData, why));
        }
        self.flush(stream)?;
        if self.connection.is_handshaking() {
            return Ok(false);
        }
        // A server that knows nothing of ALPN agrees to nothing (RFC 9113 3.3 wants it).
        if self.is_http2 && self.connection.alpn_protocol() != Some(HTTP2) {
            return Err(io::Error::new(ErrorKind::InvalidData, NO_HTTP2));
        }
        Ok(true)
    }

    fn send(&mut self, stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
        self.flush(stream)?;
        let taken = self.connection.writer().write(bytes)?;
        match self.flush(stream) {
            // The rest goes with the next call.
            Err(e) if e.kind() != ErrorKind::WouldBlock => Err(e),
            Ok(()) | Err(_) => Ok(taken),
        }
    }

    fn receive(&mut self, stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        match self.flush(stream) {
            Err(e) if e.kind() != ErrorKind::WouldBlock => return Err(e),
            Ok(()) | Err(_) => {}
        }
        match self.connection.reader().read(buffer) {
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            // It closed without a word of farewell, as many do.
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(0),
            result => return result,
        }
        // Records may hold nothing for us, and one may come in pieces: the caller counts.
        if self.take(stream)? == 0 { Ok(0) } else { Err(ErrorKind::Interrupted.into()) }
    }

    fn describe(&self) -> String {
        let version = self.connection.protocol_version().and_then(|version| version.as_str()).unwrap_or("TLS");
        let suite = self.connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
        format!("{version} {}", suite.unwrap_or_default())
    }

    fn expires(&self) -> Option<i64> {
        certificate::not_after(self.connection.peer_certificates()?.first()?)
    }
}

/// Who may sign.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    verify: bool,
    file: Option<PathBuf>,
}

impl Verifier {
    /// The trusted certificates that this chain names as issuers, and whether the
    /// server's own is one of them.
    fn trusted(&self, chain: &[&CertificateDer<'_>]) -> Result<(RootCertStore, bool), Error> {
        let system = || SYSTEM.iter().map(Path::new).find(|path| path.exists());
        let path = self.file.as_deref().or_else(system);
        let path = path.ok_or_else(|| Error::General(format!("none of {} is there", SYSTEM.join(", "))))?;
        let failed = |e: &dyn std::fmt::Display| Error::General(format!("{}: {e}", path.display()));
        let file = File::open(path).map_err(|e| failed(&e))?;
        let mut store = RootCertStore::empty();
        let (mut is_own, mut seen) = (false, 0);
        for trusted in CertificateDer::pem_reader_iter(BufReader::new(file)).take(TRUSTED_MAX) {
            let trusted = trusted.map_err(|e| failed(&e))?;
            seen += 1;
            is_own |= chain.first().is_some_and(|own| own.as_ref() == trusted.as_ref());
            let mut one = RootCertStore::empty();
            // One that rustls cannot read signs nothing.
            if one.add(trusted).is_ok() {
                let named =
                    |subject: &[u8]| chain.iter().any(|der| der.windows(subject.len().max(1)).any(|w| w == subject));
                store.roots.extend(one.roots.into_iter().filter(|root| named(root.subject.as_ref())));
            }
        }
        if seen == 0 { Err(failed(&"it holds no certificate")) } else { Ok((store, is_own)) }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if !self.verify {
            return Ok(ServerCertVerified::assertion());
        }
        let chain: Vec<&CertificateDer<'_>> = std::iter::once(end_entity).chain(intermediates).collect();
        let (roots, is_own) = self.trusted(&chain)?;
        let certificate = ParsedCertificate::try_from(end_entity)?;
        if is_own {
            // Trusted by itself; all that is left of it is its time and its name.
            let end = certificate::not_after(end_entity).and_then(|end| u64::try_from(end).ok());
            if end.is_none_or(|end| end < now.as_secs()) {
                return Err(CertificateError::Expired.into());
            }
        } else {
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&certificate, &roots, intermediates, now, algorithms)?;
        }
        verify_server_name(&certificate, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What is wrong, in words that do not change from check to check.
fn words(error: &Error) -> String {
    #[allow(clippy::wildcard_enum_match_arm, reason = "rustls has hundreds, and adds some")]
    match error {
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "the certificate has expired".to_owned()
        }
        Error::InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => {
            "the certificate is not valid yet".to_owned()
        }
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "the certificate is for another name".to_owned(),
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "the certificate is signed by nobody who is trusted".to_owned()
        }
        // What signed itself without being trusted, as openssl(1) makes them: rustls tells it by this name only.
        Error::InvalidCertificate(CertificateError::Other(why)) if why.to_string().contains("CaUsedAsEndEntity") => {
            "the certificate is signed by nobody who is trusted".to_owned()
        }
        Error::AlertReceived(AlertDescription::NoApplicationProtocol) => NO_HTTP2.to_owned(),
        Error::General(why) => why.clone(),
        Error::InvalidMessage(_) => "the answer is not TLS".to_owned(),
        other => other.to_string(),
    }
}
