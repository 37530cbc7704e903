//! Several files become one, as the Collector merges them: maps key by key, everything else replaced by the later
//! file, and a key that the later file sets to `null` is gone.

use super::yaml::{Node, Value};

/// Puts `later` over `earlier`; the paths that it removed are appended to `removed`.
pub(super) fn merge(earlier: &mut Node, later: Node, path: &str, removed: &mut Vec<String>) {
    let Node { value, place, variables } = later;
    match (&mut earlier.value, value) {
        (Value::Map(entries), Value::Map(over)) => {
            for (key, node) in over {
                let path = if path.is_empty() {
                    key.name.clone()
                } else {
                    format!("{path}::{}", key.name)
                };
                removed.retain(|removed| *removed != path);
                match entries.iter().position(|(name, _)| name.name == key.name) {
                    Some(at) if node.value == Value::Null => {
                        entries.remove(at);
                        removed.push(path);
                    }
                    Some(at) => merge(&mut entries[at].1, node, &path, removed),
                    None => entries.push((key, node)),
                }
            }
        }
        // An empty file, or an empty section, changes nothing.
        (_, Value::Null) => {}
        (_, value) => *earlier = Node { value, place, variables },
    }
}

#[cfg(test)]
mod tests {
    use super::super::yaml::parse;
    use super::*;

    #[test]
    fn maps_are_merged_lists_replaced_and_null_removes() {
        let mut config = parse("a: {x: 1, y: [1, 2], z: {k: v}}\nb: 1\n", "one").unwrap();
        let over = parse("a: {y: [3], z: null, w: 2}\nc:\n", "two").unwrap();
        let mut removed = Vec::new();
        merge(&mut config, over, "", &mut removed);
        let expected = parse("a: {x: 1, y: [3], w: 2}\nb: 1\nc:\n", "f").unwrap();
        assert_eq!(texts(&config), texts(&expected));
        assert_eq!(removed, ["a::z"]);
        assert_eq!(config.get("a").unwrap().get("y").unwrap().place.to_string(), "two:1");
    }

    fn texts(node: &Node) -> String {
        match &node.value {
            Value::Null => "null".to_owned(),
            Value::Scalar { text, .. } => text.clone(),
            Value::List(nodes) => format!("{:?}", nodes.iter().map(texts).collect::<Vec<_>>()),
            Value::Map(entries) => {
                let entries = entries.iter().map(|(key, node)| (&key.name, texts(node)));
                format!("{:?}", entries.collect::<Vec<_>>())
            }
        }
    }
}
