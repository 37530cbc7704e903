//! The host and the port of an authority, told apart where nobody waits for it.

/// The parts of a `Host` header; `None` for what cannot be one.
pub(super) fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let bytes = authority.as_bytes();
    let (mut colon, mut is_odd) = (None, bytes.is_empty());
    for (index, byte) in bytes.iter().enumerate() {
        match byte {
            b':' => colon = Some(index),
            b']' => colon = None,
            b'/' | b'?' | b'#' | b'@' => is_odd = true,
            _ => is_odd |= !byte.is_ascii_graphic(),
        }
    }
    if is_odd {
        return None;
    }
    let Some(colon) = colon else { return Some((unbracketed(authority), None)) };
    let (host, port) = (&authority[..colon], &authority[colon + 1..]);
    // An address of IPv6 has to stand in brackets, or nobody knows which colon is the port's.
    let is_bare = host.contains(':') && !host.ends_with(']');
    match port.parse() {
        Ok(port) if !is_bare => Some((unbracketed(host), Some(port))),
        Err(_) if !is_bare && port.is_empty() => Some((unbracketed(host), None)),
        _ => None,
    }
}

pub(crate) fn unbracketed(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_and_its_port_are_told_apart() {
        for (authority, expected) in [
            ("shop.example", Some(("shop.example", None))),
            ("shop.example:8080", Some(("shop.example", Some(8080)))),
            ("shop.example:", Some(("shop.example", None))),
            ("[::1]", Some(("::1", None))),
            ("[::1]:3000", Some(("::1", Some(3000)))),
            ("", None),
            ("::1", None),
            ("shop.example:99999", None),
            ("shop.example:port", None),
            ("ada@shop.example", None),
            ("shop example", None),
            ("shop.example/path", None),
        ] {
            assert_eq!(host_and_port(authority), expected, "of {authority:?}");
        }
    }
}
