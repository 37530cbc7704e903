use super::*;

const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn headers(lines: &[(&'static str, &[u8])]) -> HeaderMap {
    lines
        .iter()
        .map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap())
        })
        .collect()
}

fn extract(headers: &HeaderMap) -> Option<SpanContext> {
    super::extract(&Headers::of(headers), headers)
}

fn parent(value: &[u8]) -> Option<SpanContext> {
    extract(&headers(&[("traceparent", value)]))
}

fn state(values: &[&[u8]]) -> String {
    let mut lines: Vec<(&str, &[u8])> = vec![("traceparent", VALID.as_bytes())];
    lines.extend(values.iter().map(|value| ("tracestate", *value)));
    extract(&headers(&lines)).unwrap().trace_state().header()
}

#[test]
fn a_valid_parent_is_taken_as_it_is() {
    let parent = parent(VALID.as_bytes()).unwrap();
    assert_eq!(parent.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(parent.span_id().to_string(), "b7ad6b7169203331");
    assert!(parent.is_sampled());
    assert!(parent.is_remote());
}

#[test]
fn flags_keep_the_bits_that_have_a_meaning() {
    for (flags, known) in [("00", 0), ("01", 1), ("02", 2), ("03", 3), ("fc", 0), ("ff", 3)] {
        let value = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
        assert_eq!(parent(value.as_bytes()).unwrap().trace_flags().to_u8(), known, "of {flags}");
    }
}

#[test]
fn later_versions_are_read_as_far_as_they_are_known() {
    for value in [
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "fe-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
        "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what the future.will be",
    ] {
        assert!(parent(value.as_bytes()).is_some(), "{value}");
    }
}

#[test]
fn a_malformed_parent_is_no_parent() {
    let malformed: &[&[u8]] = &[
        b"",
        b"00",
        b"-",
        b"0af7651916cd43dd8448eb211c80319c",
        // Ids of a wrong length.
        b"00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
        b"00-0af7651916cd43dd8448eb211c80319cc-b7ad6b7169203331-01",
        b"00-0af7651916cd43dd-b7ad6b7169203331-01",
        b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333-01",
        b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b71692033311-01",
        b"00--b7ad6b7169203331-01",
        b"00-0af7651916cd43dd8448eb211c80319c--01",
        // Digits that are none.
        b"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        b"00-0af7651916cd43dd8448eb211c80319c-B7AD6B7169203331-01",
        b"00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        b"00-0af7651916cd43dd8448eb211c80319c-+7ad6b7169203331-01",
        b"00-0xf7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        b"00-0gf7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c8031\u{e9}-b7ad6b7169203331-01".as_bytes(),
        b"00-0af7651916cd43dd8448eb211c80319\xff-b7ad6b7169203331-01",
        // Ids that mean "none".
        b"00-00000000000000000000000000000000-b7ad6b7169203331-01",
        b"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        // Versions.
        b"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        b"FE-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        b"0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        b"000-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        b"-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
        b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-extra",
        b"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.extra",
        // Flags.
        b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-",
        b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
        b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-001",
        b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0A",
        b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-+1",
        // Separators, spaces, two in one.
        b"00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01",
        b"000af7651916cd43dd8448eb211c80319cb7ad6b716920333101",
        b" 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 ",
        b"00-0af7651916cd43dd8448eb211c80319c -b7ad6b7169203331-01",
        b"\t00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01,00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ];
    for value in malformed {
        assert!(parent(value).is_none(), "took {}", value.escape_ascii());
    }
}

#[test]
fn two_parents_are_no_parent() {
    let line = ("traceparent", VALID.as_bytes());
    assert!(extract(&headers(&[line, line])).is_none());
    assert!(extract(&HeaderMap::new()).is_none());
}

#[test]
fn headers_of_64_kib_are_refused_or_dropped() {
    assert!(parent(&[b'0'; 64 * 1024]).is_none());
    assert_eq!(state(&[&[b'a'; 64 * 1024]]), "");
    assert_eq!(state(&["a=b,".repeat(16 * 1024).as_bytes()]), "");
}

#[test]
fn the_vendors_list_is_read_across_headers() {
    assert_eq!(state(&[b"a=1,b=2"]), "a=1,b=2");
    assert_eq!(state(&[b"a=1 , \tb=2,,", b"", b"t@v=3 4"]), "a=1,b=2,t@v=3 4");
}

#[test]
fn a_fault_in_the_vendors_list_voids_the_list_and_not_the_parent() {
    let too_many: Vec<String> = (0..33).map(|index| format!("k{index}=v")).collect();
    for value in
        [&b"a"[..], b"=1", b"a=", b"A=1", b"a=1=2", b"a=1,a=2", b"a=\xe4", b"a b=1", b"a=1\t2"]
    {
        assert_eq!(state(&[b"ok=1", value]), "", "of {}", value.escape_ascii());
    }
    assert_eq!(state(&[too_many.join(",").as_bytes()]), "");
    assert_eq!(state(&[too_many[..32].join(",").as_bytes()]), too_many[..32].join(","));
}

#[test]
fn the_vendors_list_may_have_512_bytes_in_all() {
    let of = |bytes: usize| format!("a=1,b={}", "2".repeat(bytes - 6)).into_bytes();
    // A value has 256 at most, so a list of that length takes two.
    let (first, second) = (of(250), of(261));
    let second = [b"c=1,d", &second[5..]].concat();
    assert_eq!(state(&[&first, &second]).len(), 512);
    let longer = [&second[..], b"2"].concat();
    assert_eq!(state(&[&first, &longer]), "");
    assert_eq!(state(&[&first, &second, b""]), "", "one more header is one more comma");
}

#[test]
fn what_goes_out_replaces_what_was_there() {
    let caller = headers(&[("traceparent", VALID.as_bytes()), ("tracestate", b"a=1")]);
    let caller = extract(&caller).unwrap();
    let stale = "00-11111111111111111111111111111111-2222222222222222-00";
    let mut outgoing = headers(&[
        ("traceparent", stale.as_bytes()),
        ("traceparent", stale.as_bytes()),
        ("tracestate", b"stale=1"),
    ]);
    inject(&caller, &mut outgoing);
    assert_eq!(outgoing.get_all(TRACEPARENT).iter().collect::<Vec<_>>(), [VALID]);
    assert_eq!(outgoing.get_all(TRACESTATE).iter().collect::<Vec<_>>(), ["a=1"]);

    inject(&parent(VALID.as_bytes()).unwrap(), &mut outgoing);
    assert!(!outgoing.contains_key(TRACESTATE));
}

#[test]
fn without_a_span_the_headers_stay_as_they_are() {
    let mut outgoing = headers(&[("traceparent", VALID.as_bytes())]);
    inject(&SpanContext::NONE, &mut outgoing);
    assert_eq!(outgoing[TRACEPARENT], VALID);
}

#[test]
fn every_byte_is_a_digit_or_none_in_every_place() {
    for place in 0..64 {
        for byte in 0..=u8::MAX {
            let mut digits: [u8; 64] = std::array::from_fn(|index| b"0123456789abcdef"[index % 16]);
            digits[place] = byte;
            let is_digit = matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            let read = unhex(&digits);
            assert_eq!(read.is_some(), is_digit, "{byte:#x} in place {place}");
            if let Some(read) = read {
                let written: String = read.iter().map(|byte| format!("{byte:02x}")).collect();
                assert_eq!(written.as_bytes(), digits);
            }
        }
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_parsed_without_a_panic(value: Vec<u8>) {
        let _ = parse(&value);
    }
}
