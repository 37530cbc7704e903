//! Where bytes go: a stream of the process, or a file that is rotated.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::settings::{LogOutput, LogSettings};

mod rotate;

use rotate::RotatedFile;

/// Takes bytes, perhaps not all of them.
pub(crate) trait Output: Send {
    /// Called before the bytes of whole lines, which no rotation may tear apart.
    fn begin(&mut self, _bytes: usize) {}

    /// Writes some of the bytes, waiting as long as it takes.
    ///
    /// # Errors
    ///
    /// What the system says; the bytes are lost then.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
}

/// Opens an output; there is none to open where lines are discarded.
///
/// # Errors
///
/// The stream is closed, or the file cannot be opened for appending.
pub(crate) fn open(settings: &LogSettings) -> io::Result<Option<Box<dyn Output>>> {
    // Our own descriptor: the standard library's handle has a lock that a blocked `println!` holds,
    // and a program may close or redirect the original.
    Ok(Some(match &settings.output {
        LogOutput::Stdout => Box::new(Stream(own(rustix::stdio::stdout())?)),
        LogOutput::Stderr => Box::new(Stream(own(rustix::stdio::stderr())?)),
        LogOutput::File(path) => {
            Box::new(RotatedFile::open(path.clone(), settings.file_bytes, settings.files_kept)?)
        }
        LogOutput::Discard => return Ok(None),
    }))
}

fn own(stream: impl AsFd) -> io::Result<OwnedFd> {
    // Standard streams keep 0, 1 and 2 for themselves.
    Ok(rustix::io::fcntl_dupfd_cloexec(stream, 3)?)
}

/// A pipe, a terminal, a socket.
pub(crate) struct Stream(pub(crate) OwnedFd);

impl Output for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match rustix::io::write(&self.0, bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => return Ok(written),
                Err(Errno::INTR) => {}
                // Another process that shares the pipe may have made it non-blocking.
                Err(Errno::AGAIN) => wait_for_room(&self.0)?,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn wait_for_room(fd: &OwnedFd) -> io::Result<()> {
    match poll(&mut [PollFd::new(fd, PollFlags::OUT)], None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
