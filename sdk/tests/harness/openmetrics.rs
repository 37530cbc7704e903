//! Reads an exposition as strictly as the strictest scraper: whatever breaks a rule is a panic that names it.

use std::collections::{BTreeMap, HashMap, HashSet};

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    /// By family.
    pub(crate) kinds: BTreeMap<String, String>,
    pub(crate) helps: BTreeMap<String, String>,
    pub(crate) samples: Vec<Sample>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
    pub(crate) exemplar: Option<(BTreeMap<String, String>, f64, Option<f64>)>,
}

impl Exposition {
    /// The only sample with this name and these labels among its own.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.sample(name, labels).value
    }

    pub(crate) fn sample(&self, name: &str, labels: &[(&str, &str)]) -> &Sample {
        let fits = |sample: &&Sample| {
            let has = |(key, value): &(&str, &str)| {
                sample.labels.get(*key).is_some_and(|found| found == value)
            };
            sample.name == name && labels.iter().all(has)
        };
        let found: Vec<_> = self.samples.iter().filter(fits).collect();
        assert_eq!(found.len(), 1, "{name} {labels:?}: {found:?} of {:#?}", self.kinds);
        found[0]
    }
}

/// Reads OpenMetrics 1.0.
pub(crate) fn openmetrics(text: &str) -> Exposition {
    let body = text.strip_suffix("# EOF\n").expect("the last line is # EOF");
    read(body, true)
}

/// Reads the text format 0.0.4.
pub(crate) fn prometheus(text: &str) -> Exposition {
    assert!(!text.contains("# EOF") && !text.contains("# UNIT"), "{text}");
    read(text, false)
}

fn read(body: &str, is_openmetrics: bool) -> Exposition {
    let mut exposition = Exposition::default();
    let mut family = String::new();
    let mut finished = HashSet::new();
    let mut seen = HashSet::new();
    assert!(body.is_empty() || body.ends_with('\n'));
    for line in body.split_terminator('\n') {
        assert!(!line.is_empty(), "an empty line in {body}");
        if let Some(comment) = line.strip_prefix("# ") {
            let (keyword, rest) = comment.split_once(' ').expect(line);
            let (name, value) = rest.split_once(' ').expect(line);
            if name != family {
                assert!(finished.insert(std::mem::replace(&mut family, name.to_owned())), "{line}");
                assert!(!finished.contains(name), "{name} is interrupted");
            }
            let is_new = match keyword {
                "TYPE" => exposition.kinds.insert(name.to_owned(), value.to_owned()).is_none(),
                "HELP" => exposition.helps.insert(name.to_owned(), value.to_owned()).is_none(),
                "UNIT" => name.ends_with(&format!("_{value}")),
                other => panic!("{other} in {line}"),
            };
            assert!(is_new, "{line}");
            continue;
        }
        let sample = sample(line);
        let kind = exposition.kinds.get(&family).unwrap_or_else(|| panic!("{line} has no type"));
        check(&family, kind, &sample, is_openmetrics);
        let key = format!("{} {:?}", sample.name, sample.labels);
        assert!(seen.insert(key), "{line} stands twice");
        exposition.samples.push(sample);
    }
    check_histograms(&exposition);
    exposition
}

fn check(family: &str, kind: &str, sample: &Sample, is_openmetrics: bool) {
    let suffix =
        sample.name.strip_prefix(family).unwrap_or_else(|| panic!("{sample:?} in {family}"));
    let allowed: &[&str] = match (kind, is_openmetrics) {
        ("counter", true) => &["_total"],
        ("info", true) => &["_info"],
        ("histogram", _) => &["_bucket", "_sum", "_count"],
        ("counter" | "gauge" | "untyped", false) | ("gauge" | "unknown", true) => &[""],
        other => panic!("{other:?} of {family}"),
    };
    assert!(allowed.contains(&suffix), "{sample:?} is no sample of the {kind} {family}");
    if matches!(kind, "counter" | "histogram") {
        assert!(sample.value >= 0.0, "{sample:?}");
    }
    if let Some((labels, value, _)) = &sample.exemplar {
        assert!(is_openmetrics && matches!(suffix, "_total" | "_bucket"), "{sample:?}");
        let runes: usize =
            labels.iter().map(|(key, value)| key.chars().count() + value.chars().count()).sum();
        assert!(runes <= 128, "{sample:?}");
        if let Some(bound) = sample.labels.get("le") {
            assert!(*value <= number(bound), "{sample:?}");
        }
    }
}

/// Buckets grow, the last one is infinite, and as large as the count.
fn check_histograms(exposition: &Exposition) {
    let mut buckets: HashMap<_, Vec<(f64, f64)>> = HashMap::new();
    let is_histogram =
        |name: &str| exposition.kinds.get(name).is_some_and(|kind| kind == "histogram");
    for sample in &exposition.samples {
        let Some(family) = sample.name.strip_suffix("_bucket").filter(|name| is_histogram(name))
        else {
            continue;
        };
        let mut labels = sample.labels.clone();
        let bound = labels.remove("le").expect("a bucket has a bound");
        assert!(bound == "+Inf" || bound.contains(['.', 'e']), "{bound} is not canonical");
        buckets.entry((family, labels)).or_default().push((number(&bound), sample.value));
    }
    for ((family, labels), buckets) in buckets {
        let grow = |pair: &[(f64, f64)]| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1;
        assert!(buckets.windows(2).all(grow), "{family} {labels:?} {buckets:?}");
        let last = buckets.last().unwrap();
        assert_eq!(last.0, f64::INFINITY, "{family}");
        let is_count = |sample: &&Sample| {
            sample.name.strip_suffix("_count") == Some(family) && sample.labels == labels
        };
        let count = exposition.samples.iter().find(is_count).expect("there is a count");
        assert_eq!(count.value, last.1, "{family} {labels:?}");
    }
}

fn sample(line: &str) -> Sample {
    let (main, exemplar) = match split_exemplar(line) {
        Some((main, exemplar)) => (main, Some(exemplar)),
        None => (line, None),
    };
    let name_end = main.find(['{', ' ']).expect(line);
    let name = &main[..name_end];
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    assert!(name.chars().all(is_word) && !name.starts_with(|c: char| c.is_ascii_digit()), "{line}");
    let (labels, rest) = labels(&main[name_end..]);
    let value = rest.strip_prefix(' ').expect(line);
    let exemplar = exemplar.map(|text| {
        let (labels, rest) = labels_of_exemplar(text);
        let mut numbers = rest.trim_start().split(' ').map(number);
        (labels, numbers.next().expect(line), numbers.next())
    });
    Sample { name: name.to_owned(), labels, value: number(value), exemplar }
}

/// At the ` # ` that stands outside of quotes.
fn split_exemplar(line: &str) -> Option<(&str, &str)> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    for (at, c) in line.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            '#' if !is_quoted => return Some((line[..at].strip_suffix(' ')?, &line[at + 2..])),
            _ => {}
        }
    }
    None
}

fn labels_of_exemplar(text: &str) -> (BTreeMap<String, String>, &str) {
    assert!(text.starts_with('{'), "{text}");
    labels(text)
}

fn labels(text: &str) -> (BTreeMap<String, String>, &str) {
    let mut labels = BTreeMap::new();
    let Some(mut rest) = text.strip_prefix('{') else { return (labels, text) };
    while !rest.starts_with('}') {
        let (name, after) = rest.split_once("=\"").expect(text);
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        assert!(!name.is_empty() && name.chars().all(is_word), "{name} in {text}");
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            let (at, c) = chars.next().expect(text);
            match c {
                '"' => break at,
                '\\' => value.push(match chars.next().expect(text).1 {
                    'n' => '\n',
                    c @ ('\\' | '"') => c,
                    other => panic!("\\{other} in {text}"),
                }),
                c => value.push(c),
            }
        };
        assert!(labels.insert(name.to_owned(), value).is_none(), "{name} stands twice in {text}");
        rest = &after[end + 1..];
        rest = match rest.strip_prefix(',') {
            Some(rest) => rest,
            None => {
                assert!(rest.starts_with('}'), "{text}");
                rest
            }
        };
    }
    (labels, &rest[1..])
}

fn number(text: &str) -> f64 {
    match text {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        "NaN" => f64::NAN,
        text => text.parse().unwrap_or_else(|_| panic!("{text:?} is no number")),
    }
}
