use super::*;
use crate::receive::testing;
use crate::record::text_attribute;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{ArrayValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use proptest::prelude::*;
use prost::Message;

fn request(spans: Vec<Span>) -> Vec<u8> {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

#[test]
fn empty_spans_count_as_the_structs_they_become() {
    let body = testing::empty_spans(1_000).encode_to_vec();
    let bytes = protobuf(&body, &TRACES).unwrap();
    assert!(bytes >= 1_000 * size_of::<Span>(), "{bytes}");
    assert!(bytes <= 1_001 * size_of::<Span>() + 1_000, "{bytes}");
}

#[test]
fn a_flood_of_empty_spans_are_refused() {
    let body = testing::empty_spans(300_000).encode_to_vec();
    assert_eq!(protobuf(&body, &TRACES), Err(Refusal::DecodedTooLarge));
}

#[test]
fn attributes_count_with_their_text() {
    let span = Span { attributes: vec![text_attribute("k", "v".repeat(500))], ..Span::default() };
    let with = protobuf(&request(vec![span]), &TRACES).unwrap();
    let without = protobuf(&request(vec![Span::default()]), &TRACES).unwrap();
    assert!(with - without >= size_of::<KeyValue>() + 501, "{with} - {without}");
}

#[test]
fn packed_numbers_count_as_wide_as_they_become() {
    let buckets = Buckets { offset: 0, bucket_counts: vec![0; 1_000] }.encode_to_vec();
    assert!(protobuf(&buckets, &BUCKETS).unwrap() >= 8_000);
}

#[test]
fn values_nested_without_end_are_refused() {
    let mut value = AnyValue { value: Some(Value::BoolValue(true)) };
    for _ in 0..MAX_DEPTH {
        value = AnyValue { value: Some(Value::ArrayValue(ArrayValue { values: vec![value] })) };
    }
    assert!(matches!(protobuf(&value.encode_to_vec(), &ANY_VALUE), Err(Refusal::Malformed(_))));
}

#[test]
fn json_objects_count_and_text_does_not() {
    assert_eq!(json(b"{}"), Ok(2 + JSON_OBJECT_BYTES));
    assert_eq!(json(br#""{\"{{,[""#), Ok(9));
    assert_eq!(json(b"[1,2]"), Ok(5 + 2 * JSON_ELEMENT_BYTES));
    assert_eq!(json("{},".repeat(500_000).as_bytes()), Err(Refusal::DecodedTooLarge));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let _ = protobuf(&bytes, &TRACES);
        let _ = protobuf(&bytes, &METRICS);
        let _ = protobuf(&bytes, &LOGS);
        let _ = json(&bytes);
    }

    #[test]
    fn whatever_prost_writes_is_read(names in prop::collection::vec(".{0,20}", 0..20)) {
        let spans = names.into_iter().map(|name| Span { name, ..Span::default() }).collect();
        prop_assert!(protobuf(&request(spans), &TRACES).is_ok());
    }
}
