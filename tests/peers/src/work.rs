//! What is compared, as data: areas of subjects, and the rows of the table that are read off them.

use axum::Router;

/// An endpoint where nobody takes spans: no subject delivers any.
pub const NOBODY: &str = "http://127.0.0.1:9";

/// So many spans of ours may end in one run: when the queue is full they are dropped, which costs less.
pub const MAX_SPANS: u32 = 10_000;

/// Does the work once.
pub type Operation = Box<dyn FnMut()>;

/// Subjects that are measured in the same rounds, and the rows that compare them.
pub struct Area {
    /// Everybody who does something.
    pub subjects: Vec<Subject>,
    /// In one run no more than this: what is to be measured changes then.
    pub max_operations: u32,
    /// Whether callgrind has the time to see them.
    pub counts_instructions: bool,
    /// The rows of the table.
    pub works: Vec<Work>,
}

/// Somebody who does a work.
pub struct Subject {
    /// Its name in the table; no other subject's.
    pub name: &'static str,
    /// How it does the work.
    pub ways: Vec<Way>,
}

/// Sets a subject up in this process; called once, because most of them set a global.
#[derive(Clone, Copy)]
pub enum Way {
    /// To be called over and over, and counted from inside.
    Operation(fn() -> Operation),
    /// To be done by one thread and by two: what is set up once, and what each thread does.
    Threads(fn(), fn() -> Operation),
    /// To be served on a socket, and measured from outside under load.
    Server(fn() -> Router),
}

/// One row of the table.
pub struct Work {
    /// What is done, once.
    pub name: &'static str,
    /// Who of ours does it: first the one whom the goals are for.
    pub ours: Vec<&'static str>,
    /// Who does it besides.
    pub peers: Vec<&'static str>,
    /// Against whom all are held.
    pub baseline: &'static str,
    /// What the first of ours must reach.
    pub goals: Vec<Goal>,
}

/// What ours must reach in a row.
#[derive(Clone, Copy)]
pub enum Goal {
    /// At most this many instructions.
    Instructions(f64),
    /// At most this many allocations.
    Allocations(f64),
    /// At most this many allocations more than a subject's.
    MoreAllocations(f64, &'static str),
    /// At most this many nanoseconds, on a machine of the year.
    Nanoseconds(f64),
    /// At most this many times the baseline's instructions.
    InstructionRatio(f64),
    /// At most this many times the baseline's time.
    TimeRatio(f64),
    /// At most this many times the baseline's CPU time under load.
    LoadRatio(f64),
    /// At least this many times the work of one thread by two.
    Speedup(f64),
}

/// How a way is called on the command line.
impl Way {
    pub const OPERATION: &str = "operation";
    pub const THREADS: &str = "threads";
    pub const SERVER: &str = "server";

    /// The name of this one.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operation(_) => Self::OPERATION,
            Self::Threads(..) => Self::THREADS,
            Self::Server(_) => Self::SERVER,
        }
    }
}

impl Subject {
    /// Somebody who does the work in this process.
    pub fn operation(name: &'static str, prepare: fn() -> Operation) -> Self {
        Self { name, ways: vec![Way::Operation(prepare)] }
    }

    /// Somebody who does the work in two threads.
    pub fn threads(name: &'static str, set_up: fn(), each: fn() -> Operation) -> Self {
        Self { name, ways: vec![Way::Threads(set_up, each)] }
    }

    /// The way of this name, if it has it.
    pub fn way(&self, name: &str) -> Option<Way> {
        self.ways.iter().copied().find(|way| way.name() == name)
    }
}

/// Everything, in the order of the table.
pub fn all() -> Vec<Area> {
    vec![
        crate::lines::area(),
        crate::spans::area(),
        crate::requests::area(),
        crate::metrics::observing(),
        crate::metrics::exposing(),
    ]
}
