//! Patterns of paths: `*` and `?` within a name, `**` over folders, `[…]` and `{a,b}`.

use std::path::{Path, PathBuf};

use regex::Regex;

/// How many folders below each other `**` stands for, at most.
const MAX_DEPTH: usize = 32;
/// How many patterns one with `{a,b}` may stand for.
const MAX_CHOICES: usize = 64;

/// A pattern, part by part, so that files can be looked for by it.
#[derive(Debug, Clone)]
pub struct PathPattern {
    root: PathBuf,
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
enum Part {
    Name(String),
    Pattern(Regex),
    /// `**`: any number of folders.
    Folders,
}

impl PathPattern {
    /// The patterns that one with choices stands for; `None` when it is none.
    pub fn parse(glob: &str) -> Option<Vec<Self>> {
        expand(glob)?.iter().map(|glob| Self::without_choices(glob)).collect()
    }

    fn without_choices(glob: &str) -> Option<Self> {
        let (root, rest) = match glob.strip_prefix('/') {
            Some(rest) => (PathBuf::from("/"), rest),
            None => (std::env::current_dir().ok()?, glob),
        };
        let mut parts = Vec::new();
        for part in rest.split('/').filter(|part| !part.is_empty() && *part != ".") {
            parts.push(if part == "**" {
                Part::Folders
            } else if part.contains(['*', '?', '[', '\\']) {
                Part::Pattern(parse(part)?)
            } else {
                Part::Name(part.to_owned())
            });
        }
        (!parts.is_empty()).then_some(Self { root, parts })
    }

    /// The files that are there now, and those that are not at this moment, but whose rotated ones are: `base_of` tells the name of
    /// a file from that of a rotated one.
    pub fn files(&self, base_of: fn(&str) -> Option<&str>) -> Vec<PathBuf> {
        let mut found = Vec::new();
        walk(&self.root, &self.parts, 0, base_of, &mut found);
        found
    }
}

fn walk(
    dir: &Path,
    parts: &[Part],
    depth: usize,
    base_of: fn(&str) -> Option<&str>,
    found: &mut Vec<PathBuf>,
) {
    let Some((part, rest)) = parts.split_first() else { return };
    let mut enter = |path: PathBuf| {
        if !rest.is_empty() {
            walk(&path, rest, depth, base_of, found);
        } else if path.is_file() {
            found.push(path);
        }
    };
    match part {
        Part::Name(name) if rest.is_empty() && !dir.join(name).is_file() => {
            if entries(dir).any(|(entry, ..)| base_of(&entry) == Some(name)) {
                found.push(dir.join(name));
            }
        }
        Part::Name(name) => enter(dir.join(name)),
        Part::Pattern(regex) if rest.is_empty() => {
            for (name, path, _) in entries(dir) {
                if regex.is_match(&name) && path.is_file() {
                    found.push(path);
                }
                if let Some(base) = base_of(&name).filter(|base| regex.is_match(base)) {
                    found.push(dir.join(base));
                }
            }
        }
        Part::Pattern(regex) => {
            for (name, path, _) in entries(dir) {
                if regex.is_match(&name) {
                    enter(path);
                }
            }
        }
        Part::Folders => {
            walk(dir, rest, depth, base_of, found);
            if rest.is_empty() {
                found.extend(entries(dir).map(|(_, path, _)| path).filter(|path| path.is_file()));
            }
            // A symbolic link may lead back to where it lies.
            let folders = entries(dir).filter(|(_, _, is_folder)| *is_folder && depth < MAX_DEPTH);
            for (_, path, _) in folders {
                walk(&path, parts, depth + 1, base_of, found);
            }
        }
    }
}

fn entries(dir: &Path) -> impl Iterator<Item = (String, PathBuf, bool)> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        Some((entry.file_name().into_string().ok()?, entry.path(), is_folder))
    })
}

/// Without `{a,b}`: one pattern for each choice.
fn expand(glob: &str) -> Option<Vec<String>> {
    let Some(open) = glob.find('{') else { return Some(vec![glob.to_owned()]) };
    let close = open + glob[open..].find('}')?;
    let mut globs = Vec::new();
    for choice in glob[open + 1..close].split(',') {
        globs.extend(expand(&format!("{}{choice}{}", &glob[..open], &glob[close + 1..]))?);
        if globs.len() > MAX_CHOICES {
            return None;
        }
    }
    Some(globs)
}

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
                // `/**/` is also one slash.
                if pattern.ends_with('/') && chars.peek() == Some(&'/') {
                    chars.next();
                    pattern += "(?:.*/)?";
                } else {
                    pattern += ".*";
                }
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
        assert!(parse("/var/**/*.log").unwrap().is_match("/var/0.log"));
        assert!(parse("/{a,b}/[0-9]?.log").unwrap().is_match("/b/12.log"));
        assert!(!parse("/a.log").unwrap().is_match("/a-log"));
        assert!(parse("/[a").is_none() && parse("/{a").is_none());
    }

    #[test]
    fn files_are_found_by_patterns_of_any_shape() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_str().unwrap();
        for file in ["a/1.log", "a/b/2.log", "a/b/c/3.txt", "d/4.log", "5.log"] {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        std::os::unix::fs::symlink(dir.path(), dir.path().join("a/around")).unwrap();
        let found = |glob: &str| {
            let patterns = PathPattern::parse(&format!("{root}/{glob}")).unwrap();
            let mut files: Vec<_> =
                patterns.iter().flat_map(|pattern| pattern.files(|_| None)).collect();
            files.sort();
            let relative =
                |path: &PathBuf| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            files.iter().map(relative).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(found("*.log"), "5.log");
        assert_eq!(found("*/[0-9].log"), "a/1.log d/4.log");
        assert_eq!(found("**/*.log"), "5.log a/1.log a/b/2.log d/4.log");
        assert_eq!(found("a/**"), "a/1.log a/b/2.log a/b/c/3.txt");
        assert_eq!(found("{d,a/b}/*.log"), "a/b/2.log d/4.log");
        assert_eq!(found("a/b/2.log"), "a/b/2.log");
        assert_eq!(found("missing/*"), "");
        assert!(PathPattern::parse("/[a").is_none() && PathPattern::parse("/{a").is_none());
    }
}
