//! The process, as Prometheus's client libraries describe theirs, read from `/proc`.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit};

use super::cgroup::Cgroup;
use super::{Read, Readings};

/// In what `/proc` counts time: the kernel's `USER_HZ`, which is part of its interface and the same everywhere
/// that Rust's standard library runs. Asking for it means reading the auxiliary vector, which debuggers such as
/// valgrind do not pass on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Reads the process and its limits.
pub(in crate::metrics) struct Process {
    proc: PathBuf,
    cgroup: Cgroup,
    /// In seconds since 1970; does not change.
    started: Option<f64>,
}

/// The fields of `/proc/self/stat` that matter here.
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    start_ticks: u64,
    virtual_bytes: u64,
}

impl Process {
    /// The process that this is.
    pub(in crate::metrics) fn new() -> Self {
        Self::at(Path::new("/"))
    }

    /// One whose `/proc` and `/sys` are below `root`.
    fn at(root: &Path) -> Self {
        let proc = root.join("proc");
        let started = started(&proc);
        Self { cgroup: Cgroup::find(root), started, proc }
    }
}

impl Read for Process {
    #[expect(clippy::cast_precision_loss, reason = "Prometheus's numbers are floats")]
    fn read(&self, readings: &mut Readings<'_>) {
        let stat = fs::read_to_string(self.proc.join("self/stat"));
        if let Some(stat) = stat.ok().and_then(|text| Stat::parse(&text)) {
            let seconds = stat.cpu_ticks as f64 / TICKS_PER_SECOND;
            readings.float("process_cpu_seconds_total", seconds);
            readings.unsigned("process_virtual_memory_bytes", stat.virtual_bytes);
            readings.unsigned("process_threads", stat.threads);
        }
        let status = fs::read_to_string(self.proc.join("self/status"));
        if let Some(resident) = status.ok().and_then(|text| resident_bytes(&text)) {
            readings.unsigned("process_resident_memory_bytes", resident);
        }
        if let Some(started) = self.started {
            readings.float("process_start_time_seconds", started);
        }
        if let Ok(entries) = fs::read_dir(self.proc.join("self/fd")) {
            // The one that reads them is among them.
            let open = entries.count().saturating_sub(1);
            readings.unsigned("process_open_fds", open as u64);
        }
        if let Some(limit) = getrlimit(Resource::Nofile).current {
            readings.unsigned("process_max_fds", limit);
        }
        self.cgroup.read(readings);
    }
}

impl Stat {
    /// The second field is the program's name in brackets, which may hold anything.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(") ")?;
        // The first of these is the third field of the manual's count.
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: field(14)? + field(15)?,
            threads: field(20)?,
            start_ticks: field(22)?,
            virtual_bytes: field(23)?,
        })
    }
}

/// `/proc/self/status` tells it in kilobytes, `/proc/self/stat` in pages, whose size is not told there.
fn resident_bytes(status: &str) -> Option<u64> {
    let told = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = told.trim().strip_suffix(" kB")?.parse().ok()?;
    kilobytes.checked_mul(1_024)
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus's numbers are floats")]
fn started(proc: &Path) -> Option<f64> {
    let stat = Stat::parse(&fs::read_to_string(proc.join("self/stat")).ok()?)?;
    let system = fs::read_to_string(proc.join("stat")).ok()?;
    let booted = system.lines().find_map(|line| line.strip_prefix("btime "))?;
    let booted: u64 = booted.trim().parse().ok()?;
    Some(booted as f64 + stat.start_ticks as f64 / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_s_name_may_hold_anything() {
        let text = "42 (a) b) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 7 0 1234 8192 3 0";
        let stat = Stat::parse(text).unwrap();
        let expected = Stat { cpu_ticks: 300, threads: 7, start_ticks: 1234, virtual_bytes: 8192 };
        assert_eq!(stat, expected);
        assert_eq!(Stat::parse("42 (a"), None);
    }

    #[test]
    fn memory_is_told_in_kilobytes() {
        assert_eq!(resident_bytes("VmHWM:\t 9 kB\nVmRSS:\t    12 kB\n"), Some(12 * 1_024));
        assert_eq!(resident_bytes("VmRSS:\t a lot\n"), None);
    }

    #[test]
    fn this_process_started_before_now() {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let started = Process::new().started.unwrap();
        assert!((0.0..3_600.0).contains(&(now.as_secs_f64() - started + 1.0)), "{started}");
    }
}
