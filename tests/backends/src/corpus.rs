//! What kubelet's folder could hold: pods of all runtimes, whose services log in every way that we know of.
//!
//! The same extent gives the same corpus but for its times, which count back from a given moment so that Loki takes them.

mod text;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::Offset;
use serde_json::json;

use self::text::Dialect;

/// Where a container runtime splits a line.
const CONTAINERD_SPLITS_AT: usize = 16 * 1024;
const CRIO_SPLITS_AT: usize = 8 * 1024;
/// What `container` joins at most.
const MOST_PARTS: usize = 100;
/// Between two lines of one file.
const APART: Duration = Duration::from_micros(1_234_567);

/// A line that is no runtime's.
pub const FOREIGN: &str = "no container runtime wrote this";

/// How much of it.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Log files, each of a pod's container.
    pub files: usize,
    /// What services wrote into each; split, they are more lines of the file.
    pub lines_each: usize,
    /// Whether to leave out what the Collector's operator `container` loses: blanks at the end of parts, and lines that no
    /// runtime wrote.
    pub without_lost: bool,
}

/// Log files below one folder.
#[derive(Debug)]
pub struct Corpus {
    /// The files.
    pub files: Vec<PathBuf>,
    /// The lines in all of them.
    pub lines: usize,
    /// How many of these are empty.
    pub empty: usize,
    /// How many entries they are when the parts of split lines are joined, as far as a runtime marks them: Docker does not.
    pub entries: usize,
}

#[derive(Debug, Clone, Copy)]
enum Runtime {
    Docker,
    Crio,
    Containerd,
}

impl Corpus {
    /// Writes one into `folder`, its newest line at `newest`.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(folder: &Path, extent: Extent, newest: Timestamp) -> io::Result<Self> {
        let mut corpus = Self { files: Vec::new(), lines: 0, empty: 0, entries: 0 };
        let span = APART * u32::try_from(extent.lines_each).unwrap_or(u32::MAX);
        let oldest = newest.checked_sub(span).map_err(io::Error::other)?;
        for number in 0..extent.files {
            let path = folder.join(folder_of_pod(number)).join(container(number)).join(format!(
                "{}.log",
                // A container that was restarted so often.
                number % 3
            ));
            fs::create_dir_all(path.parent().unwrap_or(folder))?;
            let mut writer = Writer {
                file: BufWriter::new(File::create(&path)?),
                runtime: [Runtime::Containerd, Runtime::Crio, Runtime::Docker][number % 3],
                zone: [0, 9, -5][number / 3 % 3],
                without_lost: extent.without_lost,
                lines: 0,
                empty: 0,
                entries: 0,
            };
            let dialect = Dialect::ALL[number % Dialect::ALL.len()];
            for line in 0..extent.lines_each {
                let after = APART * u32::try_from(line).unwrap_or(u32::MAX);
                let time = oldest.checked_add(after).map_err(io::Error::other)?;
                writer.write(number, line, time, dialect)?;
            }
            writer.file.flush()?;
            corpus.lines += writer.lines;
            corpus.empty += writer.empty;
            corpus.entries += writer.entries;
            corpus.files.push(path);
        }
        Ok(corpus)
    }
}

/// As kubelet names it; a static pod's id is a hash without dashes.
fn folder_of_pod(number: usize) -> String {
    let hash = text::hex(text::mixed(number, 0), 32);
    let is_static = number % 10 == 9;
    let uid = if is_static {
        hash
    } else {
        let (a, b, c, d, e) = (&hash[..8], &hash[8..12], &hash[12..16], &hash[16..20], &hash[20..]);
        format!("{a}-{b}-{c}-{d}-{e}")
    };
    let namespace = ["default", "kube-system", "team-a"][number % 3];
    let pod = match number % 4 {
        // Names of pods are DNS names, which have dots.
        1 => format!("web.v1.{number}"),
        _ if is_static => format!("etcd-node-{number}"),
        _ => format!("my-node-app-6d4cf56db6-{number:05}"),
    };
    format!("{namespace}_{pod}_{uid}")
}

fn container(number: usize) -> &'static str {
    ["api-node", "api-python", "sidecar-1"][number / 2 % 3]
}

struct Writer {
    file: BufWriter<File>,
    runtime: Runtime,
    /// Hours east; CRI-O writes local time.
    zone: i8,
    without_lost: bool,
    lines: usize,
    empty: usize,
    entries: usize,
}

impl Writer {
    /// What the service of file `file` wrote as its line `line`.
    fn write(
        &mut self,
        file: usize,
        line: usize,
        time: Timestamp,
        dialect: Dialect,
    ) -> io::Result<()> {
        let stream = if line % 5 == 3 { "stderr" } else { "stdout" };
        // The first line tells one file from another: the Collector takes files that begin alike for one.
        let odd = if line == 0 { 0 } else { (line + file) % 29 };
        match odd {
            3 => self.whole(time, stream, b""),
            // Older containerd leaves out the space as well.
            5 => self.bare(time, stream),
            7 => self.whole(time, stream, b"  indented, and with blanks behind \t "),
            9 => self.whole(time, stream, b"ended by a carriage return\r"),
            11 => self.whole(time, stream, b"not UTF-8: \xff\xfe and \xc3( in the middle"),
            13 => self.whole(time, stream, "한국어, ελληνικά, 🦀 <&> \u{7f}\u{1}".as_bytes()),
            15 => self.whole(
                time,
                stream,
                br#"{"level":"warn","nested":{"a":[1,2.5,null,true]},"msg":"x"}"#,
            ),
            17 => {
                self.partial(time, "stdout", b"first part, ")?;
                self.partial(time, "stdout", b"second part, ")?;
                self.whole(time, "stdout", b"last part")
            }
            19 => {
                self.partial(time, "stderr", b"of stderr, ")?;
                self.whole(time, "stderr", b"its end")
            }
            21 if line.is_multiple_of(3) => self.split(time, stream, &text::long(20_000, line)),
            23 if line.is_multiple_of(7) && file % 6 == 4 => {
                self.split(time, stream, &text::long(1_000_000, line))
            }
            23 if line.is_multiple_of(7) && file % 6 == 3 => {
                self.whole(time, stream, &text::long(1_000_000, line))
            }
            25 if line % 3 == 1 && !self.without_lost => self.raw(FOREIGN.as_bytes()),
            27 if line % 3 == 1 => self.raw(b""),
            _ => self.whole(time, stream, dialect.line(file, line, time).as_bytes()),
        }
    }

    /// One line, split as the runtime does.
    fn split(&mut self, time: Timestamp, stream: &str, text: &[u8]) -> io::Result<()> {
        let at = match self.runtime {
            Runtime::Crio => CRIO_SPLITS_AT,
            Runtime::Docker | Runtime::Containerd => CONTAINERD_SPLITS_AT,
        };
        // The operator ends a line after so many parts.
        if !matches!(self.runtime, Runtime::Docker) {
            self.entries += (text.len().div_ceil(at) - 1) / MOST_PARTS;
        }
        let mut parts = text.chunks(at).peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_some() {
                self.partial(time, stream, part)?;
            } else {
                self.whole(time, stream, part)?;
            }
        }
        Ok(())
    }

    fn whole(&mut self, time: Timestamp, stream: &str, text: &[u8]) -> io::Result<()> {
        match self.runtime {
            Runtime::Docker => self.docker(time, stream, &[text, b"\n"].concat()),
            Runtime::Crio | Runtime::Containerd => self.cri(time, stream, "F ", text),
        }
    }

    fn partial(&mut self, time: Timestamp, stream: &str, text: &[u8]) -> io::Result<()> {
        let mut text = text.to_owned();
        if self.without_lost
            && let Some(last @ b' ') = text.last_mut()
        {
            *last = b'_';
        }
        let text = text.as_slice();
        match self.runtime {
            Runtime::Docker => self.docker(time, stream, text),
            Runtime::Crio | Runtime::Containerd => self.cri(time, stream, "P ", text),
        }
    }

    fn bare(&mut self, time: Timestamp, stream: &str) -> io::Result<()> {
        match self.runtime {
            Runtime::Docker => self.docker(time, stream, b"\n"),
            Runtime::Crio | Runtime::Containerd => self.cri(time, stream, "F", b""),
        }
    }

    fn cri(&mut self, time: Timestamp, stream: &str, tag: &str, text: &[u8]) -> io::Result<()> {
        self.entries += usize::from(tag.starts_with('F'));
        let time = if matches!(self.runtime, Runtime::Crio) {
            let local = Offset::constant(self.zone).to_datetime(time);
            format!("{}{:+03}:00", local.strftime("%Y-%m-%dT%H:%M:%S.%9f"), self.zone)
        } else {
            time.strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string()
        };
        self.raw(&[format!("{time} {stream} {tag}").as_bytes(), text].concat())
    }

    fn docker(&mut self, time: Timestamp, stream: &str, text: &[u8]) -> io::Result<()> {
        // The driver does the same with what is not UTF-8.
        let text = String::from_utf8_lossy(text);
        self.entries += 1;
        let time = time.strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string();
        let entry = json!({ "log": text, "stream": stream, "time": time });
        self.raw(entry.to_string().as_bytes())
    }

    fn raw(&mut self, line: &[u8]) -> io::Result<()> {
        self.lines += 1;
        self.empty += usize::from(line.is_empty());
        self.file.write_all(line)?;
        self.file.write_all(b"\n")
    }
}
