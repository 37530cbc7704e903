//! Numbers for threads, by which they are led to places of their own.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A small number of this thread, given out in turn.
#[inline]
pub(crate) fn thread_number() -> usize {
    const NONE: usize = usize::MAX;
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    // Has no destructor, so it can be read while the thread is torn down.
    thread_local!(static NUMBER: Cell<usize> = const { Cell::new(NONE) });
    let number = NUMBER.get();
    if number != NONE {
        return number;
    }
    let number = NEXT.fetch_add(1, Ordering::Relaxed) % NONE;
    NUMBER.set(number);
    number
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_thread_keeps_its_number_and_shares_it_with_no_other() {
        let numbers = || (thread_number(), thread_number());
        let (first, again) = numbers();
        let (other, other_again) = thread::spawn(numbers).join().unwrap();
        assert_eq!((first, other), (again, other_again));
        assert_ne!(first, other);
    }
}
