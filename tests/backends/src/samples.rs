//! What a page of metrics says.

/// What the samples of a family with `label` come to together.
pub fn sum(text: &str, family: &str, label: &str) -> u64 {
    let of_family = text.lines().filter(|line| {
        let rest = line.strip_prefix(family);
        rest.is_some_and(|rest| rest.starts_with(['{', ' '])) && line.contains(label)
    });
    let value = |line: &str| {
        // An exemplar stands behind it.
        let line = line.split(" # ").next()?;
        line.rsplit(' ').next()?.parse::<f64>().ok()
    };
    of_family.filter_map(value).sum::<f64>() as u64
}
