//! What the container may use, and how often it was held back, by cgroup version 2 or 1.

use std::fs;
use std::path::{Path, PathBuf};

use super::Readings;

/// Version 1 has no word for "no limit", but a number near the largest.
const UNLIMITED_V1: u64 = 1 << 60;

/// Where the files of this process's groups are. What is not there is not told.
#[derive(Debug, PartialEq)]
pub(super) enum Cgroup {
    /// The folder of the group; its parents up to the mount point limit it too.
    V2 {
        mount: PathBuf,
        group: PathBuf,
    },
    V1 {
        cpu: Option<PathBuf>,
        memory: Option<PathBuf>,
    },
    None,
}

/// What the files say.
#[derive(Debug, Default, PartialEq)]
struct Limits {
    memory_limit: Option<u64>,
    memory_usage: Option<u64>,
    cores: Option<f64>,
    throttling: Option<Throttling>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Throttling {
    periods: u64,
    throttled_periods: u64,
    throttled_seconds: f64,
}

impl Cgroup {
    /// Finds the groups of this process with `/proc` and `/sys` below `root`.
    pub(super) fn find(root: &Path) -> Self {
        let mount = root.join("sys/fs/cgroup");
        let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
        let lines = || groups.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
        // In a container the path may be one that is seen from outside only: the mount is then the group.
        let folder = |mount: PathBuf, path: &str| {
            let group = mount.join(path.trim_start_matches('/'));
            if group.is_dir() { group } else { mount }
        };
        if mount.join("cgroup.controllers").is_file() {
            let path =
                lines().find(|(controllers, _)| controllers.is_empty()).map(|(_, path)| path);
            let group = folder(mount.clone(), path.unwrap_or_default());
            return Self::V2 { mount, group };
        }
        let of = |controller: &str| {
            let is_it = |names: &str| names.split(',').any(|name| name == controller);
            let (names, path) = lines().find(|(names, _)| is_it(names))?;
            let mounts = [mount.join(controller), mount.join(names)];
            let mount = mounts.into_iter().find(|mount| mount.is_dir())?;
            Some(folder(mount, path))
        };
        match (of("cpu"), of("memory")) {
            (None, None) => Self::None,
            (cpu, memory) => Self::V1 { cpu, memory },
        }
    }

    pub(super) fn read(&self, readings: &mut Readings<'_>) {
        let limits = self.limits();
        if let Some(limit) = limits.memory_limit {
            readings.unsigned("spanline_cgroup_memory_limit_bytes", limit);
        }
        if let Some(usage) = limits.memory_usage {
            readings.unsigned("spanline_cgroup_memory_usage_bytes", usage);
        }
        if let Some(cores) = limits.cores {
            readings.float("spanline_cgroup_cpu_limit_cores", cores);
        }
        if let Some(throttling) = limits.throttling {
            readings.unsigned("spanline_cgroup_cpu_periods_total", throttling.periods);
            let name = "spanline_cgroup_cpu_throttled_periods_total";
            readings.unsigned(name, throttling.throttled_periods);
            let name = "spanline_cgroup_cpu_throttled_seconds_total";
            readings.float(name, throttling.throttled_seconds);
        }
    }

    fn limits(&self) -> Limits {
        match self {
            Self::V2 { mount, group } => {
                let groups = || group.ancestors().take_while(|folder| folder.starts_with(mount));
                // The tightest one holds.
                let memory_limit =
                    groups().filter_map(|group| number(&group.join("memory.max"))).min();
                let cores = groups().filter_map(|group| {
                    let text = fs::read_to_string(group.join("cpu.max")).ok()?;
                    let (quota, period) = text.trim().split_once(' ')?;
                    ratio(quota.parse().ok()?, period.parse().ok()?)
                });
                Limits {
                    memory_limit,
                    memory_usage: number(&group.join("memory.current")),
                    cores: cores.min_by(f64::total_cmp),
                    throttling: throttling(&group.join("cpu.stat"), "throttled_usec", 1e6),
                }
            }
            Self::V1 { cpu, memory } => {
                let memory = |file| number(&memory.as_ref()?.join(file));
                let cpu_number = |file| number(&cpu.as_ref()?.join(file));
                // A quota of -1 is none, and no number to this reader.
                let quota = cpu_number("cpu.cfs_quota_us").zip(cpu_number("cpu.cfs_period_us"));
                let stat = cpu.as_ref().map(|cpu| cpu.join("cpu.stat"));
                Limits {
                    memory_limit: memory("memory.limit_in_bytes")
                        .filter(|limit| *limit < UNLIMITED_V1),
                    memory_usage: memory("memory.usage_in_bytes"),
                    cores: quota.and_then(|(quota, period)| ratio(quota, period)),
                    throttling: stat.and_then(|stat| throttling(&stat, "throttled_time", 1e9)),
                }
            }
            Self::None => Limits::default(),
        }
    }
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of one period")]
fn ratio(quota: u64, period: u64) -> Option<f64> {
    (period > 0).then(|| quota as f64 / period as f64)
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus's numbers are floats")]
fn throttling(file: &Path, time: &str, per_second: f64) -> Option<Throttling> {
    let text = fs::read_to_string(file).ok()?;
    let value = |name: &str| {
        let mut pairs = text.lines().filter_map(|line| line.split_once(' '));
        let (_, value) = pairs.find(|(key, _)| *key == name)?;
        value.trim().parse::<u64>().ok()
    };
    Some(Throttling {
        periods: value("nr_periods")?,
        throttled_periods: value("nr_throttled")?,
        throttled_seconds: value(time)? as f64 / per_second,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let file = root.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        root
    }

    #[test]
    fn version_2_is_read_from_the_group_and_limited_by_its_parents() {
        let root = root(&[
            ("proc/self/cgroup", "0::/pods/pod1/app\n"),
            ("sys/fs/cgroup/cgroup.controllers", "cpu memory\n"),
            ("sys/fs/cgroup/pods/memory.max", "max\n"),
            ("sys/fs/cgroup/pods/pod1/memory.max", "268435456\n"),
            ("sys/fs/cgroup/pods/pod1/cpu.max", "50000 100000\n"),
            ("sys/fs/cgroup/pods/pod1/app/memory.max", "536870912\n"),
            ("sys/fs/cgroup/pods/pod1/app/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/pods/pod1/app/memory.current", "1048576\n"),
            (
                "sys/fs/cgroup/pods/pod1/app/cpu.stat",
                "usage_usec 9\nnr_periods 40\nnr_throttled 4\nthrottled_usec 2500000\n",
            ),
        ]);
        let limits = Cgroup::find(root.path()).limits();
        let throttling = Throttling { periods: 40, throttled_periods: 4, throttled_seconds: 2.5 };
        let expected = Limits {
            memory_limit: Some(268_435_456),
            memory_usage: Some(1_048_576),
            cores: Some(0.5),
            throttling: Some(throttling),
        };
        assert_eq!(limits, expected);
    }

    #[test]
    fn in_a_container_the_mount_is_the_group() {
        let root = root(&[
            ("proc/self/cgroup", "0::/../../seen/from/outside\n"),
            ("sys/fs/cgroup/cgroup.controllers", "cpu memory\n"),
            ("sys/fs/cgroup/memory.max", "1000\n"),
            ("sys/fs/cgroup/cpu.max", "150000 100000"),
        ]);
        let limits = Cgroup::find(root.path()).limits();
        assert_eq!((limits.memory_limit, limits.cores), (Some(1_000), Some(1.5)));
    }

    #[test]
    fn version_1_has_a_folder_for_each_controller() {
        let root = root(&[
            ("proc/self/cgroup", "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/\n"),
            ("sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/docker/abc/memory.usage_in_bytes", "4096\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "200000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
            (
                "sys/fs/cgroup/cpu,cpuacct/cpu.stat",
                "nr_periods 3\nnr_throttled 1\nthrottled_time 500000000\n",
            ),
        ]);
        let limits = Cgroup::find(root.path()).limits();
        let throttling = Throttling { periods: 3, throttled_periods: 1, throttled_seconds: 0.5 };
        let expected = Limits {
            memory_limit: None,
            memory_usage: Some(4_096),
            cores: Some(2.0),
            throttling: Some(throttling),
        };
        assert_eq!(limits, expected);
    }

    #[test]
    fn without_limits_or_groups_nothing_is_told() {
        let root = root(&[
            ("proc/self/cgroup", "2:cpu:/\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
        ]);
        assert_eq!(Cgroup::find(root.path()).limits(), Limits::default());
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(Cgroup::find(empty.path()), Cgroup::None);
    }
}
