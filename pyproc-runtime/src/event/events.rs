//! One reader's events.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use super::Event;

/// The events of a pool from the moment of [`Pool::events`](crate::Pool::events) on, as a `Stream` and through
/// [`next`](Self::next). It ends when the pool has ended.
///
/// A reader that falls behind by more than 1024 events loses the oldest, and is told how many with [`Event::Missed`]:
/// so a reader that is forgotten costs little memory, and one that wakes up is told of the present first of all.
#[derive(Debug)]
pub struct Events {
    queue: Arc<Queue>,
}

/// How many events wait for one reader at most: more than an hour of the restarts of a large pool in trouble.
const MAX_WAITING: usize = 1024;

/// What a reader has not read yet.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Event>,
    missed: u64,
    is_closed: bool,
    reader: Option<Waker>,
}

impl Events {
    pub(super) fn new() -> Self {
        Self {
            queue: Arc::default(),
        }
    }

    pub(super) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// The next event; `None` when the pool has ended.
    ///
    /// Cancel safe: an event is lost to nobody.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|context| self.queue.poll(context)).await
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.queue.poll(context)
    }
}

impl Queue {
    /// Adds an event, and returns whom to wake.
    pub(super) fn push(&self, event: Event) -> Option<Waker> {
        let mut state = self.lock();
        if state.waiting.len() == MAX_WAITING {
            state.waiting.pop_front();
            state.missed += 1;
        }
        state.waiting.push_back(event);
        state.reader.take()
    }

    /// Nothing follows any more.
    pub(super) fn close(&self) -> Option<Waker> {
        let mut state = self.lock();
        state.is_closed = true;
        state.reader.take()
    }

    fn poll(&self, context: &Context<'_>) -> Poll<Option<Event>> {
        let mut state = self.lock();
        let missed = std::mem::take(&mut state.missed);
        if missed > 0 {
            return Poll::Ready(Some(Event::Missed { events: missed }));
        }
        match state.waiting.pop_front() {
            Some(event) => Poll::Ready(Some(event)),
            None if state.is_closed => Poll::Ready(None),
            None => {
                state.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};

    use super::super::Announcer;
    use super::*;

    fn recovered(slot: usize) -> Event {
        Event::Recovered { slot }
    }

    fn slot(event: Option<Event>) -> Option<usize> {
        match event? {
            Event::Recovered { slot } => Some(slot),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn every_reader_is_told_what_happens_from_its_subscription_on() {
        let announcer = Announcer::default();
        let mut early = announcer.subscribe();
        announcer.announce(&recovered(1));
        let mut late = announcer.subscribe();
        announcer.announce(&recovered(2));
        announcer.close();
        let all = |events: &mut Events| {
            let mut slots = Vec::new();
            while let Some(event) = events.next().now_or_never().unwrap() {
                slots.extend(slot(Some(event)));
            }
            slots
        };
        assert_eq!(all(&mut early), [1, 2]);
        assert_eq!(all(&mut late), [2]);
        assert!(
            announcer
                .subscribe()
                .next()
                .now_or_never()
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn readers_that_come_and_go_while_nothing_happens_leave_nothing_behind() {
        let announcer = Announcer::default();
        let stays = announcer.subscribe();
        for _ in 0..100 {
            drop(announcer.subscribe());
        }
        assert!(announcer.readers() <= 2, "{}", announcer.readers());
        drop(stays);
    }

    #[test]
    fn a_reader_that_is_too_slow_loses_the_oldest_and_is_told_how_many() {
        let announcer = Announcer::default();
        let mut events = announcer.subscribe();
        for slot in 0..MAX_WAITING + 3 {
            announcer.announce(&recovered(slot));
        }
        let first = events.next().now_or_never().unwrap().unwrap();
        assert!(matches!(first, Event::Missed { events: 3 }), "{first}");
        assert_eq!(slot(events.next().now_or_never().unwrap()), Some(3));
        assert_eq!(events.queue.lock().waiting.len(), MAX_WAITING - 1);
    }

    #[test]
    fn whoever_waits_is_woken_and_a_reader_that_has_gone_is_forgotten() {
        let announcer = Announcer::default();
        let mut events = announcer.subscribe();
        drop(announcer.subscribe());
        let (sender, receiver) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            let event = futures::executor::block_on(async {
                let mut next = Box::pin(StreamExt::next(&mut events));
                assert!(futures::poll!(&mut next).is_pending());
                sender.send(()).unwrap();
                next.await
            });
            slot(event)
        });
        receiver.recv().unwrap();
        announcer.announce(&recovered(7));
        assert_eq!(reader.join().unwrap(), Some(7));
    }
}
