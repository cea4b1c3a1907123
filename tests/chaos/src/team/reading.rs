use std::time::Duration;

use pyproc::{Argument, Codec, Error, ErrorKind, ItemStream, Pool, with_items};
use serde::Deserialize;

use crate::findings::Finding;
use crate::ledger::End;
use crate::plan::{Arguments, Function, Plan, turned_for};

/// What a generator yields that says to which stream it belongs, and where in it.
#[derive(Debug, Deserialize)]
struct Item {
    id: u64,
    number: u64,
    mark: u64,
}

/// How far a stream was read, and what was wrong with it.
#[derive(Debug)]
pub(super) struct Reading {
    id: u64,
    /// How many items there are.
    items: u64,
    /// How many have come.
    read: u64,
    found: Option<Finding>,
}

const REST: Duration = Duration::from_millis(1);

impl Reading {
    pub(super) fn new(id: u64, plan: &Plan) -> Self {
        Self {
            id,
            items: plan.amount.into(),
            read: 0,
            found: None,
        }
    }

    /// Reads the stream to its end, or until its reader has had enough, and then drops it: `None`.
    pub(super) async fn read<C: Codec>(
        &mut self,
        pool: &Pool<C>,
        plan: &Plan,
        arguments: &Arguments,
    ) -> Option<Result<(), Error>> {
        let function = plan.function.name();
        if plan.function.takes_items() {
            let argument = with_items(arguments, plan.numbers());
            self.read_to_end(pool.stream(function, argument), plan)
                .await
        } else {
            self.read_to_end(pool.stream(function, arguments), plan)
                .await
        }
    }

    async fn read_to_end<C: Codec, A: Argument>(
        &mut self,
        mut stream: ItemStream<'_, C, A, Item>,
        plan: &Plan,
    ) -> Option<Result<(), Error>> {
        stream = stream.deadline(plan.deadline).priority(plan.priority);
        if plan.idempotent {
            stream = stream.idempotent();
        }
        if let Some(key) = plan.key {
            stream = stream.key(key);
        }
        while let Some(item) = stream.next().await {
            match item {
                Ok(item) => self.take(&item),
                Err(error) => {
                    // Whatever followed it would belong to nobody.
                    if stream.next().await.is_some() {
                        self.found = Some(Finding::Doubled);
                    }
                    if error.kind() == ErrorKind::Exception && self.read != self.items {
                        self.found.get_or_insert(Finding::Torn);
                    }
                    return Some(Err(error));
                }
            }
            let is_at =
                |every: Option<u32>| every.is_some_and(|it| self.read.is_multiple_of(it.into()));
            if is_at(plan.items_wanted) {
                return None;
            }
            if is_at(plan.rest_every) {
                tokio::time::sleep(REST).await;
            }
        }
        if plan.function != Function::CountAndFail && self.read < self.items {
            self.found.get_or_insert(Finding::Torn);
        }
        Some(Ok(()))
    }

    fn take(&mut self, item: &Item) {
        let expected = turned_for(self.id, item.number);
        if item.id != self.id || item.mark != expected {
            self.found.get_or_insert(Finding::Swapped);
        } else if item.number != self.read || self.read >= self.items {
            self.found.get_or_insert(Finding::Torn);
        }
        self.read += 1;
    }

    /// An item proves that its function ran.
    pub(super) fn end(&self) -> Option<End> {
        (self.read > 0).then_some(End::Ran)
    }

    pub(super) fn finding(&self) -> Option<Finding> {
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: u64, number: u64) -> Item {
        Item {
            id,
            number,
            mark: turned_for(id, number),
        }
    }

    #[test]
    fn items_that_are_left_out_or_come_twice_or_belong_to_another_stream_are_found() {
        let plan = Plan::of(Function::Count, 3);
        for (numbers, expected) in [
            (vec![(7, 0), (7, 1), (7, 2)], None),
            (vec![(7, 0), (7, 2)], Some(Finding::Torn)),
            (vec![(7, 0), (7, 0)], Some(Finding::Torn)),
            (vec![(7, 0), (7, 1), (7, 2), (7, 3)], Some(Finding::Torn)),
            (vec![(7, 0), (8, 1)], Some(Finding::Swapped)),
        ] {
            let mut reading = Reading::new(7, &plan);
            assert_eq!(reading.end(), None);
            for &(id, number) in &numbers {
                reading.take(&item(id, number));
            }
            assert_eq!(reading.finding(), expected, "{numbers:?}");
            assert_eq!(reading.end(), Some(End::Ran));
        }
    }
}
