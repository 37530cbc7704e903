//! A tree as YAML again, without secrets.

use super::yaml::{Node, Value};

/// Keys whose values nobody may read. Everything below `headers` is one as well.
const SECRETS: &[&str] =
    &["password", "token", "tokens", "bearer_token", "client_secret", "inline", "key_pem"];
/// What stands in the place of a secret.
const REDACTED: &str = "\"***\"";

pub(super) fn yaml(tree: &Node) -> String {
    let mut out = String::new();
    if let Value::Map(entries) = &tree.value
        && !entries.is_empty()
    {
        map(&mut out, entries, 0, false);
    }
    out
}

fn map(out: &mut String, entries: &[(super::yaml::Key, Node)], indent: usize, secret: bool) {
    for (n, (key, node)) in entries.iter().enumerate() {
        // The first one of a map in a list stands behind the dash.
        if n > 0 || !out.ends_with("- ") {
            out.extend(std::iter::repeat_n(' ', indent));
        }
        *out += &text(&key.name, true);
        out.push(':');
        let is_secret = secret || SECRETS.contains(&key.name.as_str());
        below(out, node, indent, is_secret, key.name == "headers");
    }
}

fn below(out: &mut String, node: &Node, indent: usize, secret: bool, all_secret: bool) {
    match &node.value {
        Value::Map(entries) if !entries.is_empty() => {
            out.push('\n');
            map(out, entries, indent + 2, secret || all_secret);
        }
        Value::List(nodes) if !nodes.is_empty() => {
            out.push('\n');
            for node in nodes {
                out.extend(std::iter::repeat_n(' ', indent));
                *out += "- ";
                item(out, node, indent, secret);
            }
        }
        value => {
            out.push(' ');
            *out += &scalar(value, secret);
            out.push('\n');
        }
    }
}

fn item(out: &mut String, node: &Node, indent: usize, secret: bool) {
    match &node.value {
        Value::Map(entries) if !entries.is_empty() => map(out, entries, indent + 2, secret),
        Value::List(nodes) if !nodes.is_empty() => {
            out.push('\n');
            for node in nodes {
                out.extend(std::iter::repeat_n(' ', indent + 2));
                *out += "- ";
                item(out, node, indent + 2, secret);
            }
        }
        value => {
            *out += &scalar(value, secret);
            out.push('\n');
        }
    }
}

fn scalar(value: &Value, secret: bool) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::List(_) => "[]".to_owned(),
        Value::Map(_) => "{}".to_owned(),
        Value::Scalar { .. } if secret => REDACTED.to_owned(),
        Value::Scalar { text: value, plain } => text(value, *plain),
    }
}

/// A text that is read again as what it was: without quotes where that is safe.
fn text(text: &str, plain: bool) -> String {
    let text = without_password(&escaped(text));
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"_./:*-".contains(&byte);
    let begins_well =
        text.starts_with(|first: char| first.is_ascii_alphanumeric() || "/_".contains(first));
    if plain && begins_well && text.bytes().all(is_safe) && !text.ends_with(':') {
        return text;
    }
    serde_json::Value::from(text).to_string()
}

/// A dollar sign that would begin a reference is written twice.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        escaped.push(c);
        if c == '$' && matches!(chars.peek(), Some('$' | '{')) {
            escaped.push('$');
        }
    }
    escaped
}

/// `https://user:secret@host` without the secret.
fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let Some((user, _)) = authority.rsplit_once('@') else { return text.to_owned() };
    let name = user.split(':').next().unwrap_or_default();
    format!("{scheme}://{name}:***{}", &rest[user.len()..])
}

#[cfg(test)]
mod tests {
    use super::super::yaml::parse;
    use super::*;

    #[test]
    fn what_is_printed_is_read_as_the_same() {
        let written = "a:\n  - b: 1\n    c: ['x y', '5', {d: null}]\n  - - 1\n    - '^a$$b${x}$'\n  - []\n\
                       empty: {}\ntime: 5s\n\"odd key\": 'true'\n";
        let tree = parse(written, "f").unwrap();
        let printed = yaml(&tree);
        let mut again = parse(&printed, "f").unwrap();
        let findings = super::super::Findings::default();
        super::super::expand::expand(&mut again, "", &std::collections::HashMap::new(), &findings);
        assert_eq!(yaml(&again), printed);
        assert!(findings.faults().is_empty(), "{printed}");
        assert!(printed.contains("'true'") || printed.contains("\"true\""), "{printed}");
    }

    #[test]
    fn secrets_are_not_printed() {
        let tree = parse(
            "x:\n  headers: {authorization: Bearer abc, list: [abc]}\n  password: abc\n  \
             client: {bearer_token: abc, tokens: [abc, abc]}\n  htpasswd: {inline: 'me:abc'}\n  endpoint: https://me:abc@host:1/p\n  user: me\n",
            "f",
        );
        let printed = yaml(&tree.unwrap());
        assert!(!printed.contains("abc"), "{printed}");
        assert!(
            printed.contains("https://me:***@host:1/p") && printed.contains("user: me"),
            "{printed}"
        );
    }
}
