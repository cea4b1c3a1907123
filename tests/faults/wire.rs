//! What can come over the connection, or not come: garbage, lies, drips, floods, and silence.

use pyproc::ErrorKind;
use serde_json::{Value, json};

use crate::support::{call, call_with, pool, scenario};

#[test]
fn fault_38_prints_arrive_as_logs_and_never_corrupt_a_frame() {
    scenario(async {
        let pool = pool("faults.py").workers(1).start().await.unwrap();
        assert_eq!(call::<u32>(&pool, "print_a_lot").await.unwrap(), 2000);
        assert_eq!(
            call_with(&pool, "echo", json!("still in step"))
                .await
                .unwrap(),
            json!("still in step")
        );
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_41_user_code_closes_the_connection() {
    scenario(async {
        let pool = pool("faults.py").workers(1).start().await.unwrap();
        let error = call::<Value>(&pool, "close_descriptors").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WorkerDied);
        assert!(
            error.to_string().contains("closed its connection"),
            "{error}"
        );
        assert_eq!(call_with(&pool, "echo", json!(1)).await.unwrap(), json!(1));
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_42_user_code_writes_to_the_connection() {
    scenario(async {
        let pool = pool("faults.py").workers(1).start().await.unwrap();
        let error = call::<Value>(&pool, "write_everywhere").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
        assert_eq!(call_with(&pool, "echo", json!(1)).await.unwrap(), json!(1));
        pool.shutdown().await.unwrap();
    });
}
