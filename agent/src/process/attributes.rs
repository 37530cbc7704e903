//! Sets and removes attributes: those of items, or those of whoever sent them.

use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;

use crate::config::{Action, Change, ValueSource};
use crate::record::{Batch, Resource};

/// Changes the attributes of every resource.
pub(super) fn of_resources(batch: &mut Batch, actions: &[Action]) {
    match batch {
        Batch::Logs(batches) => {
            for batch in batches {
                let mut attributes = batch.resource.attributes.clone();
                change(&mut attributes, actions);
                batch.resource = Arc::new(Resource { attributes });
            }
        }
        Batch::Spans(spans) => {
            for resource in &mut spans.resource_spans {
                change(&mut resource.resource.get_or_insert_default().attributes, actions);
            }
        }
        Batch::Metrics(metrics) => {
            for resource in &mut metrics.resource_metrics {
                change(&mut resource.resource.get_or_insert_default().attributes, actions);
            }
        }
    }
}

/// Changes the attributes of every span, log record and data point.
pub(super) fn of_items(batch: &mut Batch, actions: &[Action]) {
    match batch {
        Batch::Logs(batches) => {
            let records = batches.iter_mut().flat_map(|batch| &mut batch.records);
            records.for_each(|record| change(&mut record.attributes, actions));
        }
        Batch::Spans(spans) => {
            let scopes =
                spans.resource_spans.iter_mut().flat_map(|resource| &mut resource.scope_spans);
            let spans = scopes.flat_map(|scope| &mut scope.spans);
            spans.for_each(|span| change(&mut span.attributes, actions));
        }
        Batch::Metrics(metrics) => {
            let resources = metrics.resource_metrics.iter_mut();
            let scopes = resources.flat_map(|resource| &mut resource.scope_metrics);
            let data = scopes
                .flat_map(|scope| &mut scope.metrics)
                .filter_map(|metric| metric.data.as_mut());
            data.for_each(|data| of_points(data, actions));
        }
    }
}

fn of_points(data: &mut Data, actions: &[Action]) {
    let change = |attributes: &mut Vec<KeyValue>| change(attributes, actions);
    match data {
        Data::Gauge(data) => {
            data.data_points.iter_mut().for_each(|point| change(&mut point.attributes))
        }
        Data::Sum(data) => {
            data.data_points.iter_mut().for_each(|point| change(&mut point.attributes))
        }
        Data::Histogram(data) => {
            data.data_points.iter_mut().for_each(|point| change(&mut point.attributes))
        }
        Data::ExponentialHistogram(data) => {
            data.data_points.iter_mut().for_each(|point| change(&mut point.attributes));
        }
        Data::Summary(data) => {
            data.data_points.iter_mut().for_each(|point| change(&mut point.attributes))
        }
    }
}

fn change(attributes: &mut Vec<KeyValue>, actions: &[Action]) {
    for Action { key, change } in actions {
        let at = attributes.iter().position(|attribute| attribute.key == *key);
        let source = match (change, at) {
            (Change::Delete, _) => {
                attributes.retain(|attribute| attribute.key != *key);
                continue;
            }
            (Change::Insert(_), Some(_)) | (Change::Update(_), None) => continue,
            (Change::Insert(source) | Change::Update(source) | Change::Upsert(source), _) => source,
        };
        let value: Option<AnyValue> = match source {
            ValueSource::Value(constant) => Some(constant.into()),
            ValueSource::Attribute(from) => {
                let from = attributes.iter().find(|attribute| attribute.key == *from);
                from.and_then(|attribute| attribute.value.clone())
            }
        };
        match (value, at) {
            (None, _) => {}
            (value, Some(at)) => attributes[at].value = value,
            (value, None) => {
                attributes.push(KeyValue { key: key.clone(), value, ..KeyValue::default() });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Constant;
    use crate::record::{MetricBatch, find_text, text_attribute};

    fn action(key: &str, change: Change) -> Action {
        Action { key: key.to_owned(), change }
    }

    fn text(value: &str) -> ValueSource {
        ValueSource::Value(Constant::Text(value.to_owned()))
    }

    #[test]
    fn each_action_does_its_own() {
        let mut attributes = vec![text_attribute("a", "old"), text_attribute("gone", "x")];
        let copy = |from: &str| ValueSource::Attribute(from.to_owned());
        change(
            &mut attributes,
            &[
                action("a", Change::Insert(text("no"))),
                action("b", Change::Insert(text("inserted"))),
                action("c", Change::Update(text("no"))),
                action("d", Change::Upsert(copy("a"))),
                action("a", Change::Update(text("updated"))),
                action("e", Change::Upsert(copy("nothing"))),
                action("gone", Change::Delete),
            ],
        );
        let found: Vec<_> = attributes
            .iter()
            .map(|pair| (pair.key.as_str(), find_text(&attributes, &pair.key).unwrap()))
            .collect();
        assert_eq!(found, [("a", "updated"), ("b", "inserted"), ("d", "old")]);
    }

    #[test]
    fn items_and_resources_are_told_apart() {
        let mut metrics = MetricBatch::default();
        metrics.resource_metrics.push(crate::receive::testing::one_gauge_point());
        let mut batch = Batch::Metrics(metrics);
        of_items(&mut batch, &[action("item", Change::Insert(text("1")))]);
        of_resources(&mut batch, &[action("resource", Change::Insert(text("2")))]);
        let Batch::Metrics(metrics) = batch else { panic!("{batch:?}") };
        let resource = &metrics.resource_metrics[0];
        let attributes = &resource.resource.as_ref().unwrap().attributes;
        assert_eq!(find_text(attributes, "resource"), Some("2"));
        assert_eq!(find_text(attributes, "item"), None);
        let Some(Data::Gauge(gauge)) = &resource.scope_metrics[0].metrics[0].data else {
            panic!("{resource:?}")
        };
        assert_eq!(find_text(&gauge.data_points[0].attributes, "item"), Some("1"));
    }
}
