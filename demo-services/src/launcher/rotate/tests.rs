use std::io::Read as _;

use flate2::read::GzDecoder;

use super::*;

const SMALL: Limits = Limits { max_bytes: 100, max_files: 5 };
const LINE: &[u8] = &[b'x'; 60];

fn second(n: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + n).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Writes a numbered line of 60 bytes and waits until what it set off is done.
fn append(log: &mut RotatingFile, n: usize, now: Timestamp) {
    let mut line = format!("{n:059}").into_bytes();
    line.push(b'\n');
    log.append(&line, now).unwrap();
    if let Some(packer) = log.packer.take() {
        packer.join().unwrap();
    }
}

#[test]
fn a_full_file_is_renamed_by_the_time_and_a_new_one_begun() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = RotatingFile::open(folder.path().join("0.log"), SMALL).unwrap();
    let time: Timestamp = "2026-11-23T17:28:00.9Z".parse().unwrap();
    append(&mut log, 0, time);
    assert_eq!(names(folder.path()), ["0.log"]);
    append(&mut log, 1, time);
    assert_eq!(names(folder.path()), ["0.log", "0.log.20261123-172800"]);
    assert_eq!(fs::read(folder.path().join("0.log")).unwrap(), b"");
}

#[test]
fn older_files_are_gzipped_five_are_kept_and_they_hold_the_newest_lines_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = RotatingFile::open(folder.path().join("0.log"), SMALL).unwrap();
    for n in 0..21 {
        append(&mut log, n, second(n as i64));
    }
    let names = names(folder.path());
    assert_eq!(names.len(), 5, "{names:?}");
    assert_eq!(names.iter().filter(|name| name.ends_with(".gz")).count(), 3, "{names:?}");

    let mut text = String::new();
    for name in names[1..].iter().chain(&names[..1]) {
        let mut file = File::open(folder.path().join(name)).unwrap();
        if name.ends_with(".gz") {
            GzDecoder::new(file).read_to_string(&mut text).unwrap();
        } else {
            file.read_to_string(&mut text).unwrap();
        }
    }
    let kept: Vec<usize> = text.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(kept, (12..21).collect::<Vec<_>>());
}

#[test]
fn two_rotations_within_one_second_overwrite_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = RotatingFile::open(folder.path().join("0.log"), SMALL).unwrap();
    for n in 0..6 {
        append(&mut log, n, second(0));
    }
    assert_eq!(names(folder.path()).len(), 2);
    assert_eq!(fs::read_to_string(&log.path).unwrap().lines().count(), 4);
    append(&mut log, 6, second(1));
    assert_eq!(names(folder.path()).len(), 3);
}

#[test]
fn a_file_that_is_there_is_continued() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("0.log");
    fs::write(&path, LINE).unwrap();
    let mut log = RotatingFile::open(path, SMALL).unwrap();
    append(&mut log, 0, second(0));
    assert_eq!(names(folder.path()).len(), 2);
}

#[test]
fn what_an_interrupted_compression_left_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("0.log.20200101-000000.tmp"), b"half").unwrap();
    fs::write(folder.path().join("0.log.20200101-000000"), b"whole\n").unwrap();
    let mut log = RotatingFile::open(folder.path().join("0.log"), SMALL).unwrap();
    append(&mut log, 0, second(0));
    append(&mut log, 1, second(0));
    let names = names(folder.path());
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names.contains(&"0.log.20200101-000000.gz".to_owned()), "{names:?}");
}
