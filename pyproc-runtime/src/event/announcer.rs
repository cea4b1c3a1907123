//! Where events come from.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;

use super::Event;
use super::events::{Events, Queue};

/// Tells every reader of a pool what happens. Nobody who reads too slowly, or not at all, holds it up.
#[derive(Debug, Default)]
pub(crate) struct Announcer {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    readers: Vec<Weak<Queue>>,
    is_closed: bool,
}

impl Announcer {
    /// A new reader, of what happens from now on.
    pub(crate) fn subscribe(&self) -> Events {
        let events = Events::new();
        let mut state = self.lock();
        if state.is_closed {
            drop(state);
            events.queue().close();
        } else {
            // In a pool in which nothing happens, nobody else finds out who has gone.
            state.readers.retain(|reader| reader.strong_count() > 0);
            state.readers.push(Arc::downgrade(events.queue()));
        }
        events
    }

    pub(crate) fn announce(&self, event: &Event) {
        self.tell(|queue| queue.push(event.clone()));
    }

    /// Nothing happens any more.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.tell(Queue::close);
    }

    fn tell(&self, mut tell: impl FnMut(&Queue) -> Option<Waker>) {
        let mut wakers = Vec::new();
        self.lock().readers.retain(|reader| {
            let queue = reader.upgrade();
            if let Some(queue) = &queue {
                wakers.extend(tell(queue));
            }
            queue.is_some()
        });
        // A waker may run anything, so no lock is held.
        wakers.into_iter().for_each(Waker::wake);
    }

    #[cfg(test)]
    pub(super) fn readers(&self) -> usize {
        self.lock().readers.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
