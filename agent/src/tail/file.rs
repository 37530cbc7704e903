//! One open file of a log: plain, or gzipped after its rotation.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};

use super::discover::{Candidate, SETTLED, Stamp};
use super::gz::GzReader;
use super::head::FileId;

/// Most that is read at a time.
const CHUNK_BYTES: u64 = 256 * 1024;

/// An open file and how far it has been read.
///
/// It stays open when it is renamed or deleted, so that nothing of it is missed, and so that its inode cannot
/// become another file's.
#[derive(Debug)]
pub(super) struct LogFile {
    source: Source,
    device: u64,
    inode: u64,
    /// The file's beginning, as far as it has been read.
    head: Vec<u8>,
    /// How much of it is remembered.
    head_bytes: usize,
    id: Arc<FileId>,
    offset: u64,
    /// The time of its last change, once its head has been compared after that.
    unchanged_since: Option<SystemTime>,
    /// Its rotation, once it has been seen under that name.
    pub(super) stamp: Option<Stamp>,
}

#[derive(Debug)]
enum Source {
    Plain(File),
    Gzipped(Box<GzReader>),
}

/// What an attempt to read found.
#[derive(Debug)]
pub(super) enum Chunk {
    /// The next bytes.
    Data(Bytes),
    /// Nothing more at this moment.
    End,
    /// The file was emptied, and perhaps written to again: it begins anew.
    Truncated,
}

impl LogFile {
    /// Opens a file at its beginning; `None` when its name leads to another file than when it was listed.
    pub(super) fn open(candidate: &Candidate, head_bytes: usize) -> io::Result<Option<Self>> {
        let file = File::open(&candidate.path)?;
        let metadata = file.metadata()?;
        if (metadata.dev(), metadata.ino()) != (candidate.device, candidate.inode) {
            return Ok(None);
        }
        let source = if candidate.gzipped {
            Source::Gzipped(Box::new(GzReader::new(file)))
        } else {
            Source::Plain(file)
        };
        Ok(Some(Self {
            source,
            device: metadata.dev(),
            inode: metadata.ino(),
            head: Vec::new(),
            head_bytes,
            id: Arc::new(FileId::new(metadata.ino(), b"")),
            offset: 0,
            unchanged_since: None,
            stamp: candidate.stamp.clone(),
        }))
    }

    /// Opens a file where reading had stopped, if it is the file that `id` names; else `None`.
    pub(super) fn resume(
        candidate: &Candidate,
        id: &FileId,
        offset: u64,
        head_bytes: usize,
    ) -> io::Result<Option<Self>> {
        // What gzip makes of a file is another inode; there the head alone must do, and an empty one says nothing.
        if (!candidate.gzipped && candidate.inode != id.inode) || id.head_len == 0 {
            return Ok(None);
        }
        let Some(mut file) = Self::open(candidate, head_bytes)? else {
            // Not "another file", which would mean that the known one is gone: the next listing tells.
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, "renamed since it was listed"));
        };
        let head = match &mut file.source {
            Source::Plain(plain) if plain.metadata()?.len() < offset => return Ok(None),
            Source::Plain(plain) => read_head(plain, id.head_len)?,
            Source::Gzipped(gzipped) => gzipped.read_exactly(id.head_len)?,
        };
        if !id.has_head(&head) {
            return Ok(None);
        }
        if let Source::Gzipped(gzipped) = &mut file.source {
            // What was inflated for the head may lie behind the offset.
            **gzipped = GzReader::new(File::open(&candidate.path)?);
            if !gzipped.skip(offset)? {
                return Ok(None);
            }
        }
        file.id = Arc::new(FileId::new(file.inode, &head));
        file.head = head;
        file.offset = offset;
        Ok(Some(file))
    }

    /// Who a file is, and how much it holds; `None` when it is empty, or another one by now.
    pub(super) fn end_of(
        candidate: &Candidate,
        head_bytes: usize,
    ) -> io::Result<Option<(Arc<FileId>, u64)>> {
        let Some(file) = Self::open(candidate, head_bytes)? else { return Ok(None) };
        let Source::Plain(plain) = &file.source else { return Ok(None) };
        let size = plain.metadata()?.len();
        let head = read_head(plain, head_bytes.min(usize::try_from(size).unwrap_or(head_bytes)))?;
        Ok((!head.is_empty()).then(|| (Arc::new(FileId::new(file.inode, &head)), size)))
    }

    /// Whether a listed file is this one.
    pub(super) fn is(&self, candidate: &Candidate) -> bool {
        self.is_gzipped() == candidate.gzipped
            && self.device == candidate.device
            && self.inode == candidate.inode
    }

    /// Whether a gzipped file was made of this one.
    pub(super) fn was_gzipped_to(&self, candidate: &Candidate) -> bool {
        let head = || GzReader::new(File::open(&candidate.path)?).read_exactly(self.head.len());
        candidate.gzipped && !self.head.is_empty() && head().is_ok_and(|head| head == self.head)
    }

    pub(super) fn is_gzipped(&self) -> bool {
        matches!(self.source, Source::Gzipped(_))
    }

    /// Whether no name leads to it any more.
    pub(super) fn is_deleted(&self) -> bool {
        match &self.source {
            Source::Plain(file) => file.metadata().is_ok_and(|metadata| metadata.nlink() == 0),
            Source::Gzipped(_) => false,
        }
    }

    pub(super) fn id(&self) -> &Arc<FileId> {
        &self.id
    }

    /// Reads on.
    pub(super) fn read(&mut self) -> io::Result<Chunk> {
        let data = match &mut self.source {
            Source::Gzipped(gzipped) => {
                let mut data = vec![0; CHUNK_BYTES as usize];
                let len = gzipped.read(&mut data)?;
                data.truncate(len);
                Bytes::from(data)
            }
            Source::Plain(file) => {
                let metadata = file.metadata()?;
                let (size, modified) = (metadata.len(), metadata.modified()?);
                if size == self.offset && self.unchanged_since == Some(modified) {
                    return Ok(Chunk::End);
                }
                if size < self.offset || read_head(file, self.head.len())? != self.head {
                    return Ok(Chunk::Truncated);
                }
                if size == self.offset {
                    // It might have been emptied and filled again to the same size within one tick.
                    let is_settled = modified.elapsed().is_ok_and(|age| age > SETTLED);
                    self.unchanged_since = is_settled.then_some(modified);
                    return Ok(Chunk::End);
                }
                // No more room than there is to read: a record keeps the whole buffer in memory.
                let len = (size - self.offset).min(CHUNK_BYTES);
                let mut data = BytesMut::zeroed(usize::try_from(len).unwrap_or(0));
                let len = file.read_at(&mut data, self.offset)?;
                data.truncate(len);
                data.freeze()
            }
        };
        if data.is_empty() {
            return Ok(Chunk::End);
        }
        self.remember_head(&data);
        self.offset += data.len() as u64;
        Ok(Chunk::Data(data))
    }

    /// Begins anew after the file was emptied.
    pub(super) fn rewind(&mut self) {
        self.offset = 0;
        self.head.clear();
        self.id = Arc::new(FileId::new(self.inode, b""));
    }

    fn remember_head(&mut self, data: &[u8]) {
        let known = (self.head.len() as u64).checked_sub(self.offset);
        let known = known.and_then(|known| usize::try_from(known).ok());
        // Only what follows the known head without a gap makes it longer.
        if self.head.len() < self.head_bytes
            && let Some(new) =
                known.and_then(|known| data.get(known..)).filter(|new| !new.is_empty())
        {
            let room = self.head_bytes - self.head.len();
            self.head.extend_from_slice(&new[..new.len().min(room)]);
            self.id = Arc::new(FileId::new(self.inode, &self.head));
        }
    }
}

fn read_head(file: &File, len: usize) -> io::Result<Vec<u8>> {
    let mut head = vec![0; len];
    let mut filled = 0;
    while filled < len {
        match file.read_at(&mut head[filled..], filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    head.truncate(filled);
    Ok(head)
}
