//! How the way to a receiver is secured.

use crate::endpoint::Endpoint;
use crate::error::Fault;
use crate::otlp_signal::Variables;
use crate::tls::{self, ClientSide, NamedFile, SERVER_NAME, Settings};
use crate::vars::Reader;

/// Reads the signal's variables; `None` when the endpoint is not https, or cannot be secured.
pub(super) fn read(
    variables: &Variables,
    endpoint: &Endpoint,
    reader: &mut Reader<'_>,
) -> Option<ClientSide> {
    let is_secured = endpoint.uri.scheme_str() == Some("https");
    let mut is_pasted = false;
    let mut file = |names| {
        let (setting, path) = reader.text_first(names)?;
        if path.contains("-----BEGIN") {
            // It may be a key: it is not repeated.
            let accepted = "the path of a file, not what is in it";
            reader.fault(Fault::new(setting, "***", accepted).instead("nothing is sent by TLS"));
            is_pasted = true;
            return None;
        }
        if !is_secured {
            let accepted = "nothing, unless the endpoint begins with https://: this one is sent to without TLS";
            reader.fault(Fault::new(setting, path, accepted).instead("it is left aside"));
            return None;
        }
        Some(NamedFile { setting, path: path.into() })
    };
    let ca = file(variables.certificate);
    let certificate = file(variables.client_certificate);
    let key = file(variables.client_key);
    if !is_secured || is_pasted {
        return None;
    }
    let own = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(alone), None) => {
            reader.fault(alone_is_nothing(
                &alone,
                "a certificate whose key is named by",
                variables.client_key,
            ));
            None
        }
        (None, Some(alone)) => {
            let other = variables.client_certificate;
            reader.fault(alone_is_nothing(
                &alone,
                "the key of a certificate that is named by",
                other,
            ));
            None
        }
    };
    let host = endpoint.uri.host().unwrap_or_default();
    let named = reader.text(SERVER_NAME).and_then(|text| {
        let name = tls::server_name(&text);
        if name.is_none() {
            reader.fault(Fault::new(SERVER_NAME, text, "a DNS name or an IP address"));
        }
        name
    });
    let Some(server_name) = named.or_else(|| tls::server_name(host)) else {
        let accepted =
            format!("a host that can be in a certificate, or what is in it as {SERVER_NAME}");
        let fault = Fault::new(endpoint.because_of, endpoint.uri.to_string(), accepted);
        reader.fault(fault.instead("nothing is sent"));
        return None;
    };
    let side = ClientSide {
        ca,
        own,
        server_name,
        settings: Settings {
            ca: variables.certificate[1],
            certificate: variables.client_certificate[1],
            key: variables.client_key[1],
        },
    };
    for bad in side.check() {
        let NamedFile { setting, path } = bad.file;
        let accepted = format!("a file in PEM that can be read ({})", bad.why);
        // To trust others instead, or nobody in particular, is not what was wanted.
        let instead =
            "it is read again for each connection, and nothing is sent until it can be used";
        reader.fault(Fault::new(setting, path.display().to_string(), accepted).instead(instead));
    }
    Some(side)
}

fn alone_is_nothing(alone: &NamedFile, needs: &str, [_, general]: [&'static str; 2]) -> Fault {
    let accepted = format!("{needs} {general}");
    Fault::new(alone.setting, alone.path.display().to_string(), accepted)
        .instead("it is left aside")
}
