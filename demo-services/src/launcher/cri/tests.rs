use super::*;

fn entry(time: &str, stream: Stream, tag: Tag, text: &[u8]) -> String {
    let mut out = Vec::new();
    append_entry(&mut out, time.parse().unwrap(), stream, tag, text);
    String::from_utf8(out).unwrap()
}

fn split(chunks: &[&[u8]]) -> Vec<(Tag, Vec<u8>)> {
    let mut splitter = Splitter::default();
    let mut entries = Vec::new();
    for chunk in chunks {
        splitter.feed(chunk, |tag, text| entries.push((tag, text.to_vec())));
    }
    splitter.finish(|tag, text| entries.push((tag, text.to_vec())));
    entries
}

#[test]
fn an_entry_is_time_stream_tag_and_text() {
    assert_eq!(
        entry("2026-11-23T17:28:00.123456789Z", Stream::Stdout, Tag::Full, b"text"),
        "2026-11-23T17:28:00.123456789Z stdout F text\n"
    );
    assert_eq!(
        entry("2026-11-23T17:28:00.123456789Z", Stream::Stderr, Tag::Partial, b""),
        "2026-11-23T17:28:00.123456789Z stderr P \n"
    );
}

#[test]
fn trailing_zeros_of_the_fraction_are_left_out_as_go_does() {
    for (written, printed) in [
        ("2026-11-23T17:28:00.123456780Z", "2026-11-23T17:28:00.12345678Z"),
        ("2026-11-23T17:28:00.120000000Z", "2026-11-23T17:28:00.12Z"),
        ("2026-11-23T17:28:00.000000001Z", "2026-11-23T17:28:00.000000001Z"),
        ("2026-11-23T17:28:00.000000000Z", "2026-11-23T17:28:00Z"),
    ] {
        assert_eq!(
            entry(written, Stream::Stdout, Tag::Full, b"x"),
            format!("{printed} stdout F x\n")
        );
    }
}

#[test]
fn a_line_is_one_full_entry_whatever_chunks_it_comes_in() {
    let whole = [(Tag::Full, b"one\r".to_vec()), (Tag::Full, vec![]), (Tag::Full, b"two".to_vec())];
    assert_eq!(split(&[b"one\r\n\ntwo\n"]), whole);
    assert_eq!(split(&[b"o", b"ne\r", b"\n", b"\nt", b"wo\n"]), whole);
}

#[test]
fn a_last_line_without_newline_stays_partial() {
    assert_eq!(
        split(&[b"one\ntw", b"o"]),
        [(Tag::Full, b"one".to_vec()), (Tag::Partial, b"two".to_vec())]
    );
    assert_eq!(split(&[b""]), []);
}

#[test]
fn a_line_of_exactly_the_limit_is_one_entry_and_one_byte_more_makes_two() {
    let limit = vec![b'x'; MAX_TEXT_BYTES];
    assert_eq!(split(&[&limit, b"\n"]), [(Tag::Full, limit.clone())]);
    assert_eq!(
        split(&[&limit, b"y\n"]),
        [(Tag::Partial, limit.clone()), (Tag::Full, b"y".to_vec())]
    );
    assert_eq!(split(&[&limit]), [(Tag::Partial, limit)]);
}

#[test]
fn entries_do_not_depend_on_how_the_stream_is_cut() {
    let mut random = fastrand::Rng::with_seed(0x5eed);
    for _ in 0..200 {
        let mut stream = Vec::new();
        for _ in 0..random.usize(0..6) {
            let length = random.usize(0..40_000);
            stream.extend(std::iter::repeat_with(|| random.u8(b' '..)).take(length));
            if random.u8(..) < 200 {
                stream.push(b'\n');
            }
        }
        let whole = split(&[&stream]);
        let mut chunks = Vec::new();
        let mut rest = stream.as_slice();
        while !rest.is_empty() {
            let (chunk, tail) = rest.split_at(random.usize(1..=rest.len().min(20_000)));
            chunks.push(chunk);
            rest = tail;
        }
        assert_eq!(split(&chunks), whole);

        let mut joined = Vec::new();
        for (tag, text) in whole {
            assert!(text.len() <= MAX_TEXT_BYTES);
            joined.extend(text);
            if tag == Tag::Full {
                joined.push(b'\n');
            }
        }
        assert_eq!(joined, stream);
    }
}
