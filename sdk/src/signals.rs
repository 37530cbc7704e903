//! SIGTERM and SIGINT, seen by a thread of its own: a signal counts also when every worker of the host's
//! runtime is blocked, or there is none.
//!
//! The first signal runs the hooks, the second one ends the process at once. Nothing is installed before
//! somebody asks for it.

use std::io;
use std::process;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use tokio::runtime::Runtime;
use tokio::signal::unix::{self, SignalKind};

/// Functions that run at a process's exit may hang: the standard library's writes what is left for stdout,
/// which may be stuck. After this the kernel ends the process.
const EXIT_GRACE: Duration = Duration::from_millis(50);

/// What the first signal starts. It is given the signal's number, and must not block.
pub(crate) type Hook = Box<dyn FnOnce(i32) + Send>;

static WATCH: Mutex<Watch> =
    Mutex::new(Watch { is_running: false, first: None, hooks: Vec::new(), next_id: 0 });

struct Watch {
    is_running: bool,
    /// The number of the first signal, once it has come.
    first: Option<i32>,
    hooks: Vec<(u64, Hook)>,
    next_id: u64,
}

/// A hook that waits for the first signal; its drop takes the hook away.
#[must_use = "its drop takes the hook away"]
#[derive(Debug)]
pub(crate) struct Registration(u64);

/// Runs a hook at the first SIGTERM or SIGINT; at once if that has been already.
///
/// # Errors
/// The system has no thread, or does not let us listen.
pub(crate) fn on_first(hook: Hook) -> io::Result<Registration> {
    let mut watch = lock();
    if !watch.is_running {
        start()?;
        watch.is_running = true;
    }
    let id = watch.next_id;
    watch.next_id += 1;
    if let Some(number) = watch.first {
        drop(watch);
        hook(number);
    } else {
        watch.hooks.push((id, hook));
    }
    Ok(Registration(id))
}

/// Ends the process within [`EXIT_GRACE`], whatever hangs in it.
pub(crate) fn exit_after(signal_number: i32) -> ! {
    // As a shell would say it.
    let exit = move || process::exit(128 + signal_number);
    if thread::Builder::new().name("spanline-exit".to_owned()).spawn(exit).is_ok() {
        thread::sleep(EXIT_GRACE);
    }
    // There is no other way without `unsafe` that runs none of those functions.
    let _ = kill_process(getpid(), Signal::KILL);
    process::abort()
}

fn start() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    // Listening from here on, so that no signal is missed that comes after `on_first` has returned.
    let signals = {
        let _entered = runtime.enter();
        (unix::signal(SignalKind::terminate())?, unix::signal(SignalKind::interrupt())?)
    };
    let run = move || watch(&runtime, signals);
    thread::Builder::new().name("spanline-signal".to_owned()).spawn(run)?;
    Ok(())
}

fn watch(runtime: &Runtime, (mut terminate, mut interrupt): (unix::Signal, unix::Signal)) {
    let mut next = || {
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => SignalKind::terminate().as_raw_value(),
                _ = interrupt.recv() => SignalKind::interrupt().as_raw_value(),
            }
        })
    };
    let first = next();
    let hooks = {
        let mut watch = lock();
        watch.first = Some(first);
        std::mem::take(&mut watch.hooks)
    };
    for (_, hook) in hooks {
        hook(first);
    }
    exit_after(next());
}

fn lock() -> MutexGuard<'static, Watch> {
    // Nothing that runs under this lock can leave it half done.
    WATCH.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Registration {
    /// Leaves the hook in place for as long as the process lives.
    pub(crate) fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let dropped = {
            let mut watch = lock();
            let place = watch.hooks.iter().position(|(id, _)| *id == self.0);
            place.map(|place| watch.hooks.swap_remove(place))
        };
        // Outside of the lock: what a hook holds is somebody else's.
        drop(dropped);
    }
}
