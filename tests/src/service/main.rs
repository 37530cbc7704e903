//! A small service that ends in every way a process can; `tests/shutdown.rs` starts it.
//!
//! `spanline-service-under-test RUNTIME ENDING`: it makes spans with a line in each, says `ready` on stderr,
//! and ends. Where its spans go, the environment says.

use std::process::{self, ExitCode};
use std::thread;
use std::time::Duration;

use axum::Router;
use spanline::{LogFormat, Telemetry};
use spanline_tests::{SERVICE_EXIT_CODE, SPANS_OF_SERVICE};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [runtime, ending] = &arguments[..] else {
        eprintln!("usage: spanline-service-under-test RUNTIME ENDING");
        return ExitCode::from(64);
    };
    let ended = match runtime.as_str() {
        "none" => without_runtime(ending),
        "current_thread" => inside(Builder::new_current_thread(), ending),
        "1 worker" => inside(workers(1), ending),
        "4 workers" => inside(workers(4), ending),
        other => Err(format!("no runtime {other:?}")),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn workers(count: usize) -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(count);
    builder
}

fn start() -> Telemetry {
    spanline::builder("service").log_format(LogFormat::Json).init()
}

fn work() {
    for number in 0..SPANS_OF_SERVICE {
        tracing::info_span!("work", number).in_scope(|| tracing::info!(number, "worked"));
    }
    eprintln!("ready");
}

fn without_runtime(ending: &str) -> Result<(), String> {
    let telemetry = start();
    match ending {
        "signal" => {
            telemetry.shutdown_on_signal().map_err(|error| error.to_string())?;
            work();
            loop {
                thread::park();
            }
        }
        "prints" => {
            telemetry.shutdown_on_signal().map_err(|error| error.to_string())?;
            work();
            // It has no end, so it waits in the standard library's buffer for the exit.
            print!("half a line");
            loop {
                thread::park();
            }
        }
        "two threads" => {
            work();
            thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| telemetry.shutdown());
                }
            });
            // What is down stays down, and nobody waits for it again.
            process::exit(SERVICE_EXIT_CODE);
        }
        "panic in a panic's wake" => {
            work();
            let _guard = LogsWhenDropped;
            let _moved = telemetry;
            panic!("unwinding, as the test wants it");
        }
        _ => end_by_itself(ending),
    }
}

/// Its drop comes after telemetry's, in the same unwinding.
struct LogsWhenDropped;

impl Drop for LogsWhenDropped {
    fn drop(&mut self) {
        tracing::error!("after the end");
    }
}

fn inside(mut builder: Builder, ending: &str) -> Result<(), String> {
    let runtime = builder.enable_all().build().map_err(|error| error.to_string())?;
    inside_runtime(&runtime, ending)
}

fn inside_runtime(runtime: &Runtime, ending: &str) -> Result<(), String> {
    runtime.block_on(async {
        let telemetry = start();
        match ending {
            "signal" => serve(async { work() }).await,
            "blocked" => {
                serve(async {
                    work();
                    // A handler that does what it must not.
                    loop {
                        thread::sleep(Duration::from_secs(3_600));
                    }
                })
                .await
            }
            "dropped in a task" => {
                work();
                tokio::spawn(async move { drop(telemetry) })
                    .await
                    .map_err(|error| error.to_string())
            }
            _ => end_by_itself(ending),
        }
    })
}

async fn serve(also: impl Future<Output = ()>) -> Result<(), String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
    // The server first, so that it listens for signals before anybody is told to send one.
    let (served, ()) = tokio::join!(spanline::serve(listener, Router::new()), also);
    served.map_err(|error| error.to_string())
}

fn end_by_itself(ending: &str) -> Result<(), String> {
    work();
    match ending {
        "return" => Ok(()),
        "panic" => panic!("as the test wants it"),
        "exit" => process::exit(SERVICE_EXIT_CODE),
        other => Err(format!("no ending {other:?}")),
    }
}
