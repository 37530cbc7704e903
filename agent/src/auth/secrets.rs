//! Secrets, from the configuration or from their files.

use std::path::PathBuf;

use crate::config::{Secret, Secrets, Setting};
use crate::reload::{Unusable, read};

/// The secrets; there is at least one, and none is empty.
pub(super) fn load(secrets: &Secrets) -> Result<Vec<String>, Unusable> {
    let file = match secrets {
        Secrets::Here(_, texts) => {
            return Ok(texts.iter().map(|Secret(text)| text.clone()).collect());
        }
        Secrets::File(file) => file,
    };
    let text = content(file)?;
    let lines: Vec<_> =
        text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
    if lines.is_empty() {
        return Err(Unusable::new(called(secrets), "it is empty"));
    }
    Ok(lines)
}

/// Everything that stands there, line for line.
pub(super) fn text(secrets: &Secrets) -> Result<String, Unusable> {
    match secrets {
        Secrets::Here(_, texts) => {
            Ok(texts.iter().map(|Secret(text)| text.as_str()).collect::<Vec<_>>().join("\n"))
        }
        Secrets::File(file) => content(file),
    }
}

fn content(file: &Setting) -> Result<String, Unusable> {
    let unusable = |why: &dyn std::fmt::Display| {
        Unusable::new(format_args!("{} of {}", file.text, file.from), why)
    };
    let bytes = read(file.text.as_ref()).map_err(|why| unusable(&why))?;
    String::from_utf8(bytes).map_err(|_| unusable(&"it is not UTF-8"))
}

/// What messages call them.
pub(super) fn called(secrets: &Secrets) -> String {
    match secrets {
        Secrets::Here(from, _) => from.clone(),
        Secrets::File(file) => format!("{} of {}", file.text, file.from),
    }
}

/// The files among them.
pub(super) fn files<'a>(secrets: impl IntoIterator<Item = &'a Secrets>) -> Vec<PathBuf> {
    let file = |secrets: &'a Secrets| match secrets {
        Secrets::Here(..) => None,
        Secrets::File(file) => Some(PathBuf::from(&file.text)),
    };
    secrets.into_iter().filter_map(file).collect()
}
