//! `retain`: of the parts that it names fields of, only those fields stay.

use super::entry::Entry;
use crate::config::{Field, Root};
use crate::record::Body;

pub(super) fn only(entry: &mut Entry, fields: &[Field]) {
    let kept: Vec<_> = fields.iter().map(|field| (field, entry.get(field))).collect();
    for field in fields {
        match field.root {
            Root::Attributes => entry.record.attributes.clear(),
            Root::Resource => entry.resource.clear(),
            Root::Body if !field.keys.is_empty() => {
                entry.record.body = Body::Value(Default::default())
            }
            Root::Body => {}
        }
    }
    for (field, value) in kept {
        if let Some(value) = value {
            entry.set(field, value);
        }
    }
}
