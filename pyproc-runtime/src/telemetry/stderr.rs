//! The host's standard error, written by a thread of its own: it may be a pipe that is full, and a thread of the
//! runtime that waited there would hold up every call.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::pin::pin;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

/// How much may wait to be written. It is a second of the most that one worker may say.
const MOST_BYTES: usize = 1024 * 1024;

/// How long to wait where somebody has made the descriptor non-blocking and it takes nothing now.
const TRY_AGAIN: Duration = Duration::from_millis(10);

/// Has a text written soon. It is dropped, and counted, while too much waits.
pub(super) fn write(text: String) {
    let mut queue = queue();
    if !queue.has_writer {
        let writer = thread::Builder::new().name("pyproc-stderr".to_owned());
        queue.has_writer = writer.spawn(write_all).is_ok();
    }
    queue.push(text);
    drop(queue);
    WORK.notify_one();
}

/// Waits until all is written, but no longer than `longest`: nobody may be reading.
///
/// Cancel safety: what is to be written will be, as long as the program runs.
pub(super) async fn flush(longest: Duration) {
    let written = async {
        loop {
            let mut idle = pin!(IDLE.notified());
            idle.as_mut().enable();
            if queue().is_idle() {
                return;
            }
            idle.await;
        }
    };
    // Who does not read in time has lost it.
    let _ = timeout(longest, written).await;
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue::new());
static WORK: Condvar = Condvar::new();
static IDLE: Notify = Notify::const_new();

/// What is to be written.
#[derive(Debug)]
struct Queue {
    texts: VecDeque<String>,
    bytes: usize,
    /// How many texts found no room since the last one that did.
    dropped: u64,
    has_writer: bool,
    is_writing: bool,
}

impl Queue {
    const fn new() -> Self {
        Self {
            texts: VecDeque::new(),
            bytes: 0,
            dropped: 0,
            has_writer: false,
            is_writing: false,
        }
    }

    fn push(&mut self, text: String) {
        // Once one was dropped, all are until that is written: there is then one gap, not many.
        if !self.has_writer || self.dropped > 0 || self.bytes + text.len() > MOST_BYTES {
            self.dropped += 1;
            return;
        }
        self.bytes += text.len();
        self.texts.push_back(text);
    }

    /// The next text, and at a gap the number of those that are missing.
    fn pop(&mut self) -> Option<String> {
        let text = self.texts.pop_front().or_else(|| {
            let dropped = std::mem::take(&mut self.dropped);
            (dropped > 0).then(|| {
                format!("[pyproc] {dropped} messages were dropped: standard error took them too slowly\n")
            })
        })?;
        self.bytes = self.bytes.saturating_sub(text.len());
        Some(text)
    }

    fn is_idle(&self) -> bool {
        self.texts.is_empty() && self.dropped == 0 && !self.is_writing
    }
}

fn queue() -> MutexGuard<'static, Queue> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes for as long as the program runs.
fn write_all() {
    let mut queue = queue();
    loop {
        match queue.pop() {
            Some(text) => {
                queue.is_writing = true;
                drop(queue);
                write_one(text.as_bytes());
                queue = self::queue();
                queue.is_writing = false;
            }
            None => {
                IDLE.notify_waiters();
                queue = WORK.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

fn write_one(mut text: &[u8]) {
    while !text.is_empty() {
        match io::stderr().write(text) {
            Ok(written @ 1..) => text = &text[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(TRY_AGAIN),
            // It is closed, or its reader has gone: there is nobody left to tell.
            Ok(0) | Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue_with_writer() -> Queue {
        Queue {
            has_writer: true,
            ..Queue::new()
        }
    }

    #[test]
    fn what_finds_no_room_is_counted_and_the_gap_is_told_where_it_is() {
        let mut queue = queue_with_writer();
        queue.push("x".repeat(MOST_BYTES));
        queue.push("too much".to_owned());
        assert_eq!(queue.pop().unwrap().len(), MOST_BYTES);
        queue.push("fits, but would hide the gap".to_owned());
        let gap = queue.pop().unwrap();
        assert!(gap.starts_with("[pyproc] 2 messages were dropped"), "{gap}");
        assert!(queue.is_idle());
        queue.push("again".to_owned());
        assert_eq!(queue.pop().as_deref(), Some("again"));
        assert_eq!((queue.pop(), queue.bytes), (None, 0));
    }

    #[test]
    fn without_a_writer_nothing_is_kept() {
        let mut queue = Queue::new();
        queue.push("one".to_owned());
        assert_eq!((queue.texts.len(), queue.dropped), (0, 1));
    }
}
