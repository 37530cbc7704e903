//! Metrics, as rows of the newest slice: series once, each point a row.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, params};

use super::insert::{Interned, MAX_INTERNED, clamp};
use super::slice::Slice;
use crate::record::MetricBatch;
use crate::samples::{self, Example, Family, Label, Naming, Point, Refused, Value};
use crate::self_metrics::{ExporterReason, SelfMetrics};

/// As the agent calls the store among its exporters.
const EXPORTER: &str = "spanline_store";

/// Series of deltas whose sums are remembered; more are refused.
const MAX_SUMS: usize = 20_000;

/// What outlives a slice of what is written of metrics.
#[derive(Debug, Default)]
pub(super) struct PointWriter {
    naming: Naming,
    /// Where the series stand whose senders tell only what is new: by name, labels and scope.
    sums: HashMap<(String, String, String), Sum>,
    /// What the transaction under way refuses.
    refused: HashMap<&'static str, u64>,
}

#[derive(Debug)]
struct Sum {
    time_unix_nano: u64,
    value: Value,
}

impl PointWriter {
    /// Adds the points to the slice that `connection` writes, inside the caller's transaction.
    pub(super) fn insert(
        &mut self,
        connection: &Connection,
        slice: &Slice,
        interned: &mut Interned,
        batch: &MetricBatch,
    ) -> rusqlite::Result<()> {
        let mut points = Vec::new();
        samples::read(batch, &self.naming, |_, family, point| {
            points.push((family.clone(), point));
        });
        for (family, point) in points {
            let written = match point {
                Ok(point) => self.insert_point(connection, slice, interned, &family, point)?,
                Err(refused) => Err(refused),
            };
            if let Err(refused) = written {
                *self.refused.entry(refused.reason()).or_default() += 1;
            }
        }
        Ok(())
    }

    /// Counts what a transaction refused, once it is settled. One that failed leaves no trace: what it added up is
    /// forgotten, so that its batches can come again; to a reader that is a restart of the counter, which loses nothing.
    pub(super) fn settle(&mut self, is_committed: bool, metrics: &SelfMetrics) {
        for (reason, count) in self.refused.drain() {
            if is_committed {
                let label = ExporterReason { exporter: EXPORTER.to_owned(), reason };
                metrics.points.refused.get_or_create(&label).inc_by(count);
            }
        }
        if !is_committed {
            self.sums.clear();
        }
    }

    fn insert_point(
        &mut self,
        connection: &Connection,
        slice: &Slice,
        interned: &mut Interned,
        family: &Family,
        mut point: Point,
    ) -> rusqlite::Result<Result<(), Refused>> {
        let labels = json(&point.labels);
        if point.is_delta
            && let Err(refused) = self.add_up(family, &labels, &mut point)
        {
            return Ok(Err(refused));
        }
        let series = series_id(connection, interned, family, labels, &point.scope.0)?;
        let time = clamp(match point.time_unix_nano {
            0 => now_unix_nano(),
            time => time,
        });
        let (value, bounds, data) = columns(&point.value);
        let bounds = match bounds {
            Some(bounds) => Some(bounds_id(connection, interned, &bounds)?),
            None => None,
        };
        slice.points.widen(time);
        connection
            .prepare_cached(
                "INSERT INTO point (series, time, value, bounds, data) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO NOTHING",
            )?
            .execute(params![series, time, value, bounds, data])?;
        for example in &point.examples {
            insert_example(connection, series, time, example)?;
        }
        Ok(Ok(()))
    }

    /// Puts the sum of all that was told in the place of what is new.
    fn add_up(&mut self, family: &Family, labels: &str, point: &mut Point) -> Result<(), Refused> {
        let key = (family.name.clone(), labels.to_owned(), point.scope.0.to_string());
        let is_full = self.sums.len() >= MAX_SUMS;
        match self.sums.entry(key) {
            std::collections::hash_map::Entry::Occupied(mut known) => {
                let sum = known.get_mut();
                if point.time_unix_nano != 0 && point.time_unix_nano <= sum.time_unix_nano {
                    return Err(Refused::OutOfOrder);
                }
                sum.time_unix_nano = point.time_unix_nano;
                if point.value != Value::Gone {
                    if !sum.value.add(&point.value) {
                        sum.value = point.value.clone();
                    }
                    point.value = sum.value.clone();
                }
                Ok(())
            }
            std::collections::hash_map::Entry::Vacant(_) if is_full => Err(Refused::SeriesLimit),
            std::collections::hash_map::Entry::Vacant(new) => {
                let (time_unix_nano, value) = (point.time_unix_nano, point.value.clone());
                new.insert(Sum { time_unix_nano, value });
                Ok(())
            }
        }
    }
}

fn insert_example(
    connection: &Connection,
    series: i64,
    time: i64,
    example: &Example,
) -> rusqlite::Result<()> {
    let time = match example.time_unix_nano {
        0 => time,
        time => clamp(time),
    };
    connection
        .prepare_cached(
            "INSERT INTO example (series, time, value, labels) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![series, time, example.value, json(&example.labels)])?;
    Ok(())
}

fn series_id(
    connection: &Connection,
    interned: &mut Interned,
    family: &Family,
    labels: String,
    scope: &str,
) -> rusqlite::Result<i64> {
    let key = (family.name.clone(), family.kind.word(), labels, scope.to_owned());
    if let Some(id) = interned.series.get(&key) {
        return Ok(*id);
    }
    let found = connection
        .prepare_cached(
            "SELECT id FROM series WHERE name = ?1 AND kind = ?2 AND labels = ?3 AND scope = ?4",
        )?
        .query_row(params![key.0, key.1, key.2, key.3], |row| row.get(0))
        .optional()?;
    let id = match found {
        Some(id) => id,
        None => connection
            .prepare_cached(
                "INSERT INTO series (name, kind, labels, scope, help) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .insert(params![key.0, key.1, key.2, key.3, family.help])?,
    };
    if interned.series.len() >= MAX_INTERNED {
        interned.series.clear();
    }
    interned.series.insert(key, id);
    Ok(id)
}

fn bounds_id(
    connection: &Connection,
    interned: &mut Interned,
    bounds: &[f64],
) -> rusqlite::Result<i64> {
    let data: Vec<u8> = bounds.iter().flat_map(|bound| bound.to_le_bytes()).collect();
    if let Some(id) = interned.bounds.get(&data) {
        return Ok(*id);
    }
    let found = connection
        .prepare_cached("SELECT id FROM bounds WHERE data = ?1")?
        .query_row([&data], |row| row.get(0))
        .optional()?;
    let id = match found {
        Some(id) => id,
        None => {
            connection.prepare_cached("INSERT INTO bounds (data) VALUES (?1)")?.insert([&data])?
        }
    };
    if interned.bounds.len() >= MAX_INTERNED {
        interned.bounds.clear();
    }
    interned.bounds.insert(data, id);
    Ok(id)
}

/// A value as the columns `value`, `bounds` and `data`.
fn columns(value: &Value) -> (Option<f64>, Option<Vec<f64>>, Option<Vec<u8>>) {
    match value {
        // SQLite takes NaN for NULL, which here means that there is none: nearly the same.
        Value::Number(number) => (Some(*number), None, None),
        Value::Histogram(buckets) => {
            let mut data = Vec::with_capacity(buckets.counts.len() * 2);
            for count in &buckets.counts {
                prost::encoding::encode_varint(*count, &mut data);
            }
            (buckets.sum, Some(buckets.bounds.clone()), Some(data))
        }
        Value::Summary { quantiles, sum, count } => {
            let mut data = Vec::with_capacity(10 + quantiles.len() * 8);
            prost::encoding::encode_varint(*count, &mut data);
            data.extend(quantiles.iter().flat_map(|(_, value)| value.to_le_bytes()));
            let bounds = quantiles.iter().map(|(quantile, _)| *quantile).collect();
            (Some(*sum), Some(bounds), Some(data))
        }
        Value::Gone => (None, None, None),
    }
}

fn json(labels: &[Label]) -> String {
    let object: serde_json::Value =
        labels.iter().map(|(name, value)| (&**name, &**value)).collect();
    object.to_string()
}

fn now_unix_nano() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
