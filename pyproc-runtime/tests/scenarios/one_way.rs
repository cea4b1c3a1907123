//! One-way calls: what is refused at once, and what nobody is told of.

use pyproc_proto::ParameterInfo;
use pyproc_runtime::{ErrorKind, Fate};

use crate::support::{
    Act, FakeWorker, attach, echo, echoes, holds, scenario, until, welcome, within,
};

#[test]
fn one_that_is_polled_after_its_end_is_not_sent_again() {
    scenario(async || {
        let worker = FakeWorker::that(echoes);
        let pool = attach([&worker]).start().await.unwrap();
        let mut call = pool.one_way("echo", 1);
        within("its acceptance", &mut call).await.unwrap();
        let error = within("an error", &mut call).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
        until("it has ended", || pool.status().counts.returned == 1).await;
        // Whatever was sent before this one has arrived when this one has.
        within("an answer", pool.call::<_, u64>("echo", 2))
            .await
            .unwrap();
        assert_eq!(worker.record().requests.len(), 2);
    });
}

#[test]
fn one_that_no_worker_could_be_sent_is_refused_at_once_even_if_it_would_wait() {
    scenario(async || {
        let takes_a_stream = |hello: &_| {
            let mut welcome = welcome(hello);
            welcome.functions[2].parameters = vec![ParameterInfo {
                name: "rows".to_owned(),
                type_name: "Iterator[int]".to_owned(),
                required: true,
                is_stream: true,
            }];
            [Act::Welcome(Box::new(welcome))]
        };
        let worker = FakeWorker::greeting(takes_a_stream, holds);
        let pool = attach([&worker])
            .max_in_flight_per_worker(1)
            .max_frame(65_536)
            .start()
            .await
            .unwrap();
        let other = echo(&pool, 1);
        worker.call(1).await;
        let long = pool.one_way("echo", "x".repeat(65_536));
        let error = within("a refusal", long).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.fate()),
            (ErrorKind::TooLarge, Fate::NotStarted)
        );
        assert!(error.to_string().contains("max_frame"), "{error}");
        let streaming = pool.one_way("classify", ());
        let error = within("a refusal", streaming).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.fate()),
            (ErrorKind::InvalidArgument, Fate::NotStarted)
        );
        assert_eq!(pool.status().waiting, 0);
        // The longest that there may be: its quotes and 12 bytes of the frame come on top, and the deadline takes 8.
        let longest = "x".repeat(65_536 - 2 - 12 - 8);
        within("its acceptance", pool.one_way("echo", &longest))
            .await
            .unwrap();
        let longer = pool.one_way("echo", longest + "x");
        let error = within("a refusal", longer).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        worker.answers_from_now_on();
        within("the answer", other).await.unwrap().unwrap();
        until("it has ended", || pool.status().counts.returned == 2).await;
    });
}
