//! The words of an expression.

/// A word.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// `body`, `and`
    Word(String),
    /// `"a"`, `'a'`, `` `a` ``
    Text(String),
    Int(i64),
    Float(f64),
    /// `==`, `(`
    Sign(&'static str),
}

/// The longer ones first.
const SIGNS: [&str; 27] = [
    "==", "!=", "<=", ">=", "&&", "||", "??", "?.", "<", ">", "(", ")", "[", "]", ".", ",", "?",
    ":", "!", "+", "-", "*", "/", "%", "$", "{", "|",
];

/// Cuts an expression into its words.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let (mut tokens, mut rest) = (Vec::new(), text.trim_start());
    while let Some(first) = rest.chars().next() {
        let (token, len) = if matches!(first, '"' | '\'' | '`') {
            quoted(rest, first)?
        } else if first.is_ascii_digit() {
            number(rest)?
        } else if first.is_ascii_alphabetic() || first == '_' {
            let len = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let len = len.unwrap_or(rest.len());
            (Token::Word(rest[..len].to_owned()), len)
        } else {
            let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
            let sign = sign.ok_or_else(|| format!("{first:?} has no meaning"))?;
            (Token::Sign(sign), sign.len())
        };
        tokens.push(token);
        rest = rest[len..].trim_start();
    }
    Ok(tokens)
}

fn quoted(rest: &str, quote: char) -> Result<(Token, usize), String> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return Ok((Token::Text(text), at + 1));
        }
        if c != '\\' || quote == '`' {
            text.push(c);
            continue;
        }
        let (_, escaped) = chars.next().ok_or("a text does not end")?;
        text.push(match escaped {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            '\\' | '"' | '\'' | '`' | '/' => escaped,
            'u' | 'x' => {
                let digits = if escaped == 'u' { 4 } else { 2 };
                let hex: String = chars.by_ref().take(digits).map(|(_, c)| c).collect();
                let code = u32::from_str_radix(&hex, 16).ok().filter(|_| hex.len() == digits);
                code.and_then(char::from_u32)
                    .ok_or_else(|| format!("\\{escaped}{hex} is no character"))?
            }
            other => return Err(format!("\\{other} is not known; a backslash is written \\\\")),
        });
    }
    Err("a text does not end".to_owned())
}

fn number(rest: &str) -> Result<(Token, usize), String> {
    let bytes = rest.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut len = digits(0);
    let mut is_float = false;
    if bytes.get(len) == Some(&b'.') && digits((len + 1).min(bytes.len())) > 0 {
        is_float = true;
        len += 1 + digits(len + 1);
    }
    let text = &rest[..len];
    let token = if is_float {
        text.parse().map(Token::Float).ok()
    } else {
        text.parse().map(Token::Int).ok()
    };
    token.map(|token| (token, len)).ok_or_else(|| format!("{text} is no number"))
}
