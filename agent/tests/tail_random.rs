//! Bad luck, generated: any order of writes, rotations, deletions and restarts gives every line once.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

#[path = "harness/node.rs"]
mod node;
use node::{Node, Running, eventually};

#[derive(Debug, Clone, Copy)]
enum Action {
    /// A whole line of that many bytes.
    Write(usize),
    /// Part of a line that the next write to the file completes.
    WriteHalf,
    /// A `P` entry; the next whole line of its stream ends it.
    Split,
    /// A line on stderr.
    Stderr,
    /// As the kubelet: rename, a moment without a file, and the older ones gzipped.
    Rotate,
    GzipOlder,
    /// The lines up to now are read, then the file is emptied.
    Truncate,
    /// The lines up to now are read, then the oldest rotated file goes.
    DeleteOldest,
    /// Stops the tailer if it runs, starts it if not.
    Toggle,
    /// Lets the tailer catch up.
    Settle,
    /// The next delivery is lost.
    Refuse,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => prop::sample::select(vec![1, 20, 300, 16_384]).prop_map(Action::Write),
        2 => Just(Action::WriteHalf),
        2 => Just(Action::Split),
        2 => Just(Action::Stderr),
        3 => Just(Action::Rotate),
        2 => Just(Action::GzipOlder),
        1 => Just(Action::Truncate),
        1 => Just(Action::DeleteOldest),
        3 => Just(Action::Toggle),
        2 => Just(Action::Settle),
        1 => Just(Action::Refuse),
    ]
}

/// The container, the kubelet and the agent, and what must have arrived.
struct Model {
    node: Node,
    tailer: Option<Running>,
    expected: Vec<String>,
    /// The begun text of a split stdout line.
    split: String,
    half: Option<String>,
    /// Rotated files, oldest first, and whether each is gzipped.
    rotated: BTreeMap<String, bool>,
    rotations: usize,
    lines: usize,
    refused: bool,
}

impl Model {
    fn new(filelog: Option<&str>) -> Self {
        let node = Node::new();
        if let Some(filelog) = filelog {
            node.configure(filelog);
        }
        Self {
            node,
            tailer: None,
            expected: Vec::new(),
            split: String::new(),
            half: None,
            rotated: BTreeMap::new(),
            rotations: 0,
            lines: 0,
            refused: false,
        }
    }

    fn entry(&mut self, stream: &str, tag: char, text: &str) -> String {
        self.lines += 1;
        format!("2026-11-23T17:28:00.{:09}Z {stream} {tag} {text}\n", self.lines)
    }

    fn text(&self, len: usize) -> String {
        format!("{:0>len$}", self.lines)
    }

    fn write(&mut self, len: usize) {
        self.complete_half();
        let text = self.text(len);
        let entry = self.entry("stdout", 'F', &text);
        self.node.append("0.log", &entry);
        let split = std::mem::take(&mut self.split);
        self.expected.push(split + &text);
    }

    fn complete_half(&mut self) {
        if let Some(rest) = self.half.take() {
            self.node.append("0.log", &rest);
        }
    }

    fn write_half(&mut self) {
        self.complete_half();
        let text = self.text(30);
        let entry = self.entry("stdout", 'F', &text);
        let (begin, rest) = entry.split_at(entry.len() / 2);
        self.node.append("0.log", begin);
        self.half = Some(rest.to_owned());
        let split = std::mem::take(&mut self.split);
        self.expected.push(split + &text);
    }

    async fn act(&mut self, action: Action) {
        match action {
            Action::Write(len) => self.write(len),
            Action::WriteHalf => self.write_half(),
            Action::Split => {
                self.complete_half();
                let text = self.text(40);
                let entry = self.entry("stdout", 'P', &text);
                self.node.append("0.log", &entry);
                self.split += &text;
            }
            Action::Stderr => {
                self.complete_half();
                let text = self.text(9);
                let entry = self.entry("stderr", 'F', &text);
                self.node.append("0.log", &entry);
                self.expected.push(text);
            }
            Action::Rotate => self.rotate(),
            Action::GzipOlder => {
                // The kubelet leaves the newest rotated file as it is.
                let older = self.rotated.len().saturating_sub(1);
                for (file, gzipped) in self.rotated.iter_mut().take(older) {
                    if !std::mem::replace(gzipped, true) {
                        self.node.gzip(file);
                    }
                }
            }
            Action::Truncate => {
                if self.split.is_empty() && self.settle().await && self.node.exists("0.log") {
                    self.node.truncate("0.log");
                }
            }
            Action::DeleteOldest => {
                // The begin of a line whose end is still to come would go with the file.
                if self.split.is_empty()
                    && self.settle().await
                    && let Some((file, gzipped)) = self.rotated.pop_first()
                {
                    let end = if gzipped { ".gz" } else { "" };
                    self.node.remove(&format!("{file}{end}"));
                }
            }
            Action::Toggle => match self.tailer.take() {
                Some(tailer) => tailer.stop().await,
                None => self.tailer = Some(self.node.start()),
            },
            Action::Settle => drop(self.settle().await),
            Action::Refuse => {
                self.node.refuse_deliveries(1);
                self.refused = true;
            }
        }
    }

    fn rotate(&mut self) {
        self.complete_half();
        if self.node.exists("0.log") {
            // A time does not come twice, also when the file that bore it is gone.
            self.rotations += 1;
            let file = format!("0.log.20261124-{:06}", self.rotations);
            self.node.rename("0.log", &file);
            self.rotated.insert(file, false);
        }
    }

    /// Waits until all has arrived; `false` when no tailer runs.
    async fn settle(&mut self) -> bool {
        self.complete_half();
        if self.tailer.is_none() {
            return false;
        }
        // A lost delivery may double lines, so their number says nothing; every line's text is its own.
        let (node, expected) = (&self.node, &self.expected);
        eventually(|| {
            let seen: HashSet<String> = node.texts().into_iter().collect();
            expected.iter().all(|text| seen.contains(text))
        })
        .await;
        true
    }
}

/// The operator that joins parts, on the kubelet's folder.
const CONTAINER: &str =
    "    start_at: beginning\n    include_file_path: true\n    operators: [{type: container}]";
/// The same done by several operators, on files that match a pattern.
const RECOMBINE: &str = r#"    start_at: beginning
    include: ['DIR/*.log']
    operators:
    - {type: regex_parser, regex: '^\S+ (?P<stream>\S+) (?P<tag>[PF]) (?P<log>.*)$'}
    - {type: move, from: attributes.log, to: body}
    - {type: recombine, combine_field: body, combine_with: '', source_identifier: attributes.stream, is_last_entry: 'attributes.tag == "F"', force_flush_period: 1h}"#;

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(60))]

    #[test]
    fn every_line_comes_once(actions in prop::collection::vec(action(), 1..30)) {
        check(actions, None)?;
    }
}

proptest! {
    #![proptest_config(config(30))]

    #[test]
    fn every_line_that_container_joins_comes_once(
        actions in prop::collection::vec(action(), 1..30),
    ) {
        check(actions, Some(CONTAINER))?;
    }

    #[test]
    fn every_line_that_recombine_joins_comes_once(
        actions in prop::collection::vec(action(), 1..30),
    ) {
        check(actions, Some(RECOMBINE))?;
    }
}

/// Acts, and compares what arrived with what was written.
#[expect(clippy::unwrap_used, reason = "a test that has no runtime fails")]
fn check(actions: Vec<Action>, filelog: Option<&str>) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (expected, texts, refused) = runtime.block_on(async {
        let mut model = Model::new(filelog);
        for action in actions {
            model.act(action).await;
        }
        // What is begun is ended, so that all of it can arrive.
        model.write(10);
        if model.tailer.is_none() {
            model.tailer = Some(model.node.start());
        }
        model.settle().await;
        if let Some(tailer) = model.tailer.take() {
            tailer.stop().await;
        }
        // Nothing comes again after one more start.
        let tailer = model.node.start();
        model.write(10);
        model.tailer = Some(tailer);
        model.settle().await;
        if let Some(tailer) = model.tailer.take() {
            tailer.stop().await;
        }
        (model.expected, model.node.texts(), model.refused)
    });
    if refused {
        // What followed a lost delivery on its way may come again; nothing may be missing.
        for text in &expected {
            prop_assert!(texts.contains(text), "{text} is missing in {texts:?}");
        }
    } else {
        prop_assert_eq!(texts, expected);
    }
    Ok(())
}
