//! A role that the launcher started ends with it, even when the launcher is killed outright.

/// Tells a role the process id of the launcher that it belongs to.
pub(crate) const LAUNCHER_PID: &str = "SPANLINE_DEMO_LAUNCHER_PID";

/// Asks the kernel to kill this process when its launcher is gone; does nothing in a role that a
/// person started.
#[cfg(target_os = "linux")]
pub(crate) fn die_with_launcher() {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};

    let Ok(launcher) = std::env::var(LAUNCHER_PID) else { return };
    let asked = set_parent_process_death_signal(Some(Signal::KILL));
    // The launcher may have died before the kernel was asked.
    let parent = getppid().map(|pid| pid.as_raw_nonzero().get().to_string());
    if asked.is_err() || parent.as_deref() != Some(launcher.as_str()) {
        eprintln!("the launcher that started this process is gone");
        std::process::exit(1);
    }
}

/// Only Linux can tie a process's life to its parent's.
#[cfg(not(target_os = "linux"))]
pub(crate) fn die_with_launcher() {}
