//! Patterns of paths: `*` and `?` within a name, `**` over folders, `[…]` and `{a,b}`.

use regex::Regex;

/// The pattern that matches whole paths; `None` when it is not one.
pub(super) fn parse(glob: &str) -> Option<Regex> {
    let mut pattern = "^".to_owned();
    let mut chars = glob.chars().peekable();
    let (mut in_class, mut in_choice) = (false, false);
    while let Some(c) = chars.next() {
        match c {
            ']' if in_class => {
                in_class = false;
                pattern.push(']');
            }
            '\\' => pattern += &regex::escape(&chars.next()?.to_string()),
            '!' if in_class && pattern.ends_with('[') => pattern.push('^'),
            '[' if !in_class => {
                in_class = true;
                pattern.push('[');
            }
            '-' | '^' if in_class => pattern.push(c),
            '*' if !in_class && chars.peek() == Some(&'*') => {
                chars.next();
                pattern += ".*";
            }
            '*' if !in_class => pattern += "[^/]*",
            '?' if !in_class => pattern += "[^/]",
            '{' if !in_class => {
                in_choice = true;
                pattern += "(?:";
            }
            '}' if in_choice && !in_class => {
                in_choice = false;
                pattern.push(')');
            }
            ',' if in_choice && !in_class => pattern.push('|'),
            c => pattern += &regex::escape(&c.to_string()),
        }
    }
    pattern.push('$');
    if in_class || in_choice { None } else { Regex::new(&pattern).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_within_a_name_and_two_go_beyond() {
        let glob = parse("/var/log/pods/default_web*_*/app/*.log").unwrap();
        assert!(glob.is_match("/var/log/pods/default_web-1_0a1b/app/0.log"));
        assert!(!glob.is_match("/var/log/pods/default_web-1_0a1b/other/0.log"));
        assert!(!glob.is_match("/var/log/pods/default_web-1_0a1b/app/x/0.log"));
        assert!(parse("/var/**/*.log").unwrap().is_match("/var/log/pods/a/0.log"));
        assert!(parse("/{a,b}/[0-9]?.log").unwrap().is_match("/b/12.log"));
        assert!(!parse("/a.log").unwrap().is_match("/a-log"));
        assert!(parse("/[a").is_none() && parse("/{a").is_none());
    }
}
