//! What the system around the workers can refuse or leak: descriptors, processes, room, names, users.

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::{open_in, pid_of, pool, scenario};

fn is_socket(path: &Path) -> bool {
    path.to_str()
        .is_some_and(|path| path.starts_with("socket:"))
}

#[test]
fn fault_63_a_worker_holds_no_descriptor_of_another() {
    scenario(async {
        let pool = pool("faults.py").workers(3).start().await.unwrap();
        let open: Vec<_> = (0..3).map(|slot| open_in(pid_of(&pool, slot))).collect();
        let sockets: BTreeSet<_> = open
            .iter()
            .flatten()
            .filter(|path| is_socket(path))
            .collect();
        let connections = open
            .iter()
            .map(|open| open.iter().filter(|path| is_socket(path)).count());
        // All that are open are different ones, and every worker has as many.
        assert_eq!(
            connections.clone().sum::<usize>(),
            sockets.len(),
            "{open:?}"
        );
        assert!(
            connections
                .clone()
                .all(|count| Some(count) == connections.clone().next()),
            "{open:?}"
        );
        assert!(
            open.iter().all(|worker| worker.len() == open[0].len()),
            "{open:?}"
        );
        pool.shutdown().await.unwrap();
    });
}
