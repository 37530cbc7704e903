//! What one row of the table `point` is to a reader of Prometheus: a histogram's `_bucket`, `_sum` and `_count`.

use std::collections::HashMap;

use rusqlite::Connection;

use crate::samples::Kind;

/// What the samples of one family and row are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Its number, or a summary's quantiles.
    Own,
    Bucket,
    Sum,
    Count,
}

impl Part {
    pub(super) fn of(kind: Kind) -> &'static [Self] {
        match kind {
            Kind::Counter | Kind::Gauge => &[Self::Own],
            Kind::Histogram => &[Self::Bucket, Self::Sum, Self::Count],
            Kind::Summary => &[Self::Own, Self::Sum, Self::Count],
        }
    }

    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Own => "",
            Self::Bucket => "_bucket",
            Self::Sum => "_sum",
            Self::Count => "_count",
        }
    }

    /// The label that tells several samples of one row apart.
    pub(super) fn extra(self, kind: Kind) -> Option<&'static str> {
        match (self, kind) {
            (Self::Bucket, _) => Some("le"),
            (Self::Own, Kind::Summary) => Some("quantile"),
            _ => None,
        }
    }
}

/// The samples of one part of a point, each with the bound or quantile that tells it apart.
pub(super) fn samples(
    part: Part,
    kind: Kind,
    value: Option<f64>,
    bounds: &[f64],
    data: Option<&[u8]>,
) -> Vec<(Option<f64>, Option<f64>)> {
    let Some(mut data) = data else {
        return match kind {
            Kind::Counter | Kind::Gauge => vec![(None, value)],
            // The samples of a histogram that has gone end by themselves, five minutes later.
            Kind::Histogram | Kind::Summary => Vec::new(),
        };
    };
    let mut varint = || prost::encoding::decode_varint(&mut data).unwrap_or(0);
    match (part, kind) {
        (Part::Sum, _) => value.map(|sum| (None, Some(sum))).into_iter().collect(),
        (Part::Count, Kind::Summary) => vec![(None, Some(varint() as f64))],
        (Part::Count, _) => {
            let count = (0..=bounds.len()).fold(0_u64, |sum, _| sum.saturating_add(varint()));
            vec![(None, Some(count as f64))]
        }
        (Part::Bucket, _) => {
            let mut total = 0_u64;
            let all = bounds.iter().copied().chain([f64::INFINITY]);
            all.map(|bound| {
                total = total.saturating_add(varint());
                (Some(bound), Some(total as f64))
            })
            .collect()
        }
        (Part::Own, _) => {
            varint();
            let values = data
                .chunks_exact(8)
                .map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap_or_default()));
            bounds.iter().zip(values).map(|(bound, value)| (Some(*bound), Some(value))).collect()
        }
    }
}

pub(super) fn bounds_of<'a>(
    connection: &Connection,
    known: &'a mut HashMap<i64, Vec<f64>>,
    id: i64,
) -> rusqlite::Result<&'a [f64]> {
    use std::collections::hash_map::Entry;
    match known.entry(id) {
        Entry::Occupied(known) => Ok(known.into_mut()),
        Entry::Vacant(new) => {
            let data: Vec<u8> = connection
                .prepare_cached("SELECT data FROM bounds WHERE id = ?")?
                .query_row([id], |row| row.get(0))?;
            let bounds = data
                .chunks_exact(8)
                .map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap_or_default()));
            Ok(new.insert(bounds.collect()))
        }
    }
}
