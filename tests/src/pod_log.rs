//! What a service wrote, read where kubelet would have it.

use std::fs;
use std::path::{Path, PathBuf};

use spanline_demo::launcher::{LineIds, Role};

/// The log file of one container of one pod.
#[derive(Debug, Clone)]
pub struct PodLog {
    /// The file.
    pub path: PathBuf,
    /// The pod's name, as the folder has it.
    pub pod: String,
    /// The pod's namespace, as the folder has it.
    pub namespace: String,
}

impl PodLog {
    /// The only pod of `service` below the demo's `folder`.
    ///
    /// # Errors
    ///
    /// When there is none, or more than one.
    pub fn of(folder: &Path, service: Role) -> Result<Self, String> {
        let pods = folder.join("pods");
        let prefix = format!("default_{}-", service.name());
        let entries =
            fs::read_dir(&pods).map_err(|error| format!("{}: {error}", pods.display()))?;
        let names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.starts_with(&prefix))
            .collect();
        let [name] = &names[..] else { return Err(format!("not one pod: {names:?}")) };
        let mut parts = name.split('_').map(str::to_owned);
        let (Some(namespace), Some(pod)) = (parts.next(), parts.next()) else {
            return Err(format!("not a pod's folder: {name}"));
        };
        Ok(Self { path: pods.join(name).join(service.name()).join("0.log"), pod, namespace })
    }

    /// Its lines as the service wrote them, with the stream on which they came.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is not in the container runtime's format.
    pub fn lines(&self) -> Result<Vec<(String, String)>, String> {
        let text = fs::read_to_string(&self.path).map_err(|error| error.to_string())?;
        text.lines()
            .map(|line| {
                let mut parts = line.splitn(4, ' ').skip(1);
                match (parts.next(), parts.next(), parts.next()) {
                    (Some(stream), Some("F"), Some(text)) => Ok((stream.into(), text.into())),
                    _ => Err(format!("not a whole entry: {line}")),
                }
            })
            .collect()
    }

    /// The text of its lines, sorted.
    ///
    /// # Errors
    ///
    /// As [`PodLog::lines`].
    pub fn sorted_texts(&self) -> Result<Vec<String>, String> {
        let mut texts: Vec<String> = self.lines()?.into_iter().map(|(_, text)| text).collect();
        texts.sort();
        Ok(texts)
    }

    /// The ids of every line that has some.
    ///
    /// # Errors
    ///
    /// As [`PodLog::lines`].
    pub fn ids(&self) -> Result<Vec<LineIds>, String> {
        Ok(self.lines()?.iter().filter_map(|(_, text)| LineIds::of(text)).collect())
    }
}
