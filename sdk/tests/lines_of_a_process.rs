//! What a process prints on a terminal, into a pipe and into a file: colours for people only, times in their zone.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Command, Stdio};
use std::{env, ffi::OsStr};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

const CHILD: &str = "SPANLINE_TEST_CHILD";
const MESSAGE: &str = "printed by the child";
const GREEN: &str = "\u{1b}[32m";

/// In a process that another test has started, the service whose line it looks at.
#[test]
fn child() {
    if env::var_os(CHILD).is_some() {
        let _telemetry = spanline::init("child");
        tracing::info!(target: "shop", "{MESSAGE}");
    }
}

/// This program again, as that service and with these variables alone.
fn service(vars: &[(&str, &str)]) -> Command {
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", "--nocapture", "child"]).stdin(Stdio::null()).stderr(Stdio::inherit());
    child.env_clear().env(CHILD, "1");
    child.env("OTEL_TRACES_EXPORTER", "none").env("OTEL_METRICS_EXPORTER", "none");
    child.envs(vars.iter().copied());
    child
}

/// The service's line among what the test harness prints.
fn line_in(printed: &[u8]) -> String {
    let printed = String::from_utf8(printed.to_vec()).unwrap();
    let mut lines = printed.lines().filter(|line| line.contains(MESSAGE));
    let line = lines.next().unwrap_or_else(|| panic!("not printed: {printed:?}"));
    assert_eq!(lines.next(), None);
    line.to_owned()
}

fn piped(vars: &[(&str, &str)]) -> String {
    let output = service(vars).output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    line_in(&output.stdout)
}

/// With a pseudo-terminal as its stdout.
fn on_a_terminal(vars: &[(&str, &str)]) -> String {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let end = OpenOptions::new().write(true).open(OsStr::from_bytes(name.to_bytes())).unwrap();
    let mut command = service(vars);
    let mut child = command.stdout(end).spawn().unwrap();
    // Or the terminal would never be at its end.
    drop(command);
    let mut printed = Vec::new();
    // The end of a terminal whose last user has gone is the error EIO.
    drop(File::from(terminal).read_to_end(&mut printed));
    assert!(child.wait().unwrap().success());
    line_in(&printed)
}

#[test]
fn a_level_has_its_colour_on_a_terminal() {
    let line = on_a_terminal(&[]);
    assert!(line.contains(&format!(" {GREEN}INFO\u{1b}[0m shop: {MESSAGE}")), "{line:?}");
}

#[test]
fn there_are_no_colours_where_they_are_not_wanted() {
    let plain = format!(" INFO shop: {MESSAGE}");
    for line in [on_a_terminal(&[("NO_COLOR", "1")]), piped(&[])] {
        assert!(line.trim_end().ends_with(&plain) && !line.contains('\u{1b}'), "{line:?}");
    }
    for format in ["winston", "python", "json", "logfmt"] {
        let line = on_a_terminal(&[("SPANLINE_LOG_FORMAT", format)]);
        assert!(!line.contains('\u{1b}'), "{line:?}");
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("service.log");
    let output = service(&[("SPANLINE_LOG_OUTPUT", file.to_str().unwrap())]).output().unwrap();
    assert!(output.status.success());
    let line = line_in(&std::fs::read(&file).unwrap());
    assert!(line.ends_with(&plain) && !line.contains('\u{1b}'), "{line:?}");
}

#[test]
fn times_are_in_the_zone_that_the_format_or_the_service_wants() {
    // 5 h 45 min east of UTC, by a rule that needs no data of the system's.
    let zone = ("TZ", "XXX-5:45");
    let utc_now = || jiff::tz::TimeZone::UTC.to_datetime(jiff::Timestamp::now());
    let east = jiff::Span::new().hours(5).minutes(45);
    let cases = [
        ("text", None, "Z", jiff::Span::new()),
        ("text", Some("local"), "+05:45", east),
        ("python", None, "", east),
        ("python", Some("utc"), "", jiff::Span::new()),
    ];
    for (format, time, ends, offset) in cases {
        let mut vars = vec![zone, ("SPANLINE_LOG_FORMAT", format)];
        vars.extend(time.map(|time| ("SPANLINE_LOG_TIME", time)));
        let before = utc_now();
        let line = piped(&vars);
        let after = utc_now();
        let (printed, _) = line.split_once(" INFO ").unwrap();
        let printed = printed.strip_suffix(ends).unwrap_or_else(|| panic!("{line}"));
        let printed: jiff::civil::DateTime = printed.replace(',', ".").parse().unwrap();
        let since = printed.checked_sub(offset).unwrap();
        // Python's times are in milliseconds, cut and not rounded.
        let earliest = before.checked_sub(jiff::Span::new().milliseconds(1)).unwrap();
        assert!(earliest <= since && since <= after, "{format} {time:?}: {line}");
    }
}
