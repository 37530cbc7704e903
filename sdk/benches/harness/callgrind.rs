//! Instructions of one operation, as callgrind counts them. They repeat, which times do not.

use std::io;
use std::process::Command;
use std::thread;

/// What one operation takes.
#[derive(Clone, Copy)]
pub(crate) struct Instructions {
    /// Of the thread that works.
    pub(crate) working: f64,
    /// Of all other threads: writers, exporters.
    pub(crate) behind: f64,
}

/// The difference of a long and a short run of this program, which leaves start-up out. `command` adds what
/// makes it do so many operations.
///
/// # Errors
///
/// There is no valgrind, or the program failed.
pub(crate) fn instructions_of_one(
    operations: u32,
    command: impl Fn(Command, u32) -> Command,
) -> io::Result<Instructions> {
    let short = counted(|program| command(program, 1))?;
    let long = counted(|program| command(program, 1 + operations))?;
    let each = |long: f64, short: f64| (long - short) / f64::from(operations);
    Ok(Instructions {
        working: each(long.working, short.working),
        behind: each(long.behind, short.behind),
    })
}

/// The instructions of one whole run.
fn counted(finish: impl FnOnce(Command) -> Command) -> io::Result<Instructions> {
    let folder = std::env::temp_dir();
    let name = format!("counted-{}-{:?}", std::process::id(), thread::current().id());
    let name = name.replace(['(', ')'], "");
    let mut program = Command::new("valgrind");
    program
        .args(["--tool=callgrind", "--separate-threads=yes"])
        .arg(format!("--callgrind-out-file={}", folder.join(&name).display()))
        .arg(std::env::current_exe()?);
    let mut command = finish(program);
    let output = command.output()?;
    // One file for each thread, `<name>-01` for the first, and an empty one.
    let (mut working, mut behind) = (None, 0.0);
    for entry in std::fs::read_dir(&folder)?.flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        let Some(thread) = file.strip_prefix(&name) else { continue };
        let text = std::fs::read_to_string(entry.path())?;
        std::fs::remove_file(entry.path())?;
        let total = text.lines().find_map(|line| line.strip_prefix("totals: ")?.parse().ok());
        match (thread, total) {
            ("-01", total) => working = total,
            (_, total) => behind += total.unwrap_or(0.0),
        }
    }
    working
        .filter(|_| output.status.success())
        .map(|working| Instructions { working, behind })
        .ok_or_else(|| {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            io::Error::other(format!("{command:?} was not counted: {said}"))
        })
}
