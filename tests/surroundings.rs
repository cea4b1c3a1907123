//! What a worker finds around it: environment, paths, names; and where what it says goes.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pyproc::{Core, Json, Resource, WorkerState};
use support::{call, kill, pid_of, pool, pool_of, python_with_packages, scenario, until};

#[test]
fn the_environment_is_inherited_by_default() {
    scenario(async {
        let pool = pool("surroundings.py")
            .workers(1)
            .env("MODEL", "iris")
            .start()
            .await
            .unwrap();
        let found: BTreeMap<String, String> = call(&pool, "environment").await.unwrap();
        for (name, value) in std::env::vars() {
            assert_eq!(found.get(&name), Some(&value), "{name}");
        }
        assert_eq!(found["MODEL"], "iris");
        assert_eq!(
            (found["PYPROC_POOL"].as_str(), found["PYPROC_SLOT"].as_str()),
            ("surroundings", "0")
        );
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_start_may_take_all_the_time_there_is() {
    scenario(async {
        let pool = pool("surroundings.py").workers(1);
        let pool = pool.start_timeout(Duration::MAX).start().await.unwrap();
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn fault_66_an_allow_list_keeps_secrets_from_the_worker() {
    scenario(async {
        let pool = pool("surroundings.py")
            .workers(1)
            .env_allow(["PATH"])
            .start()
            .await
            .unwrap();
        let found: BTreeMap<String, String> = call(&pool, "environment").await.unwrap();
        let mut names: Vec<&str> = found.keys().map(String::as_str).collect();
        // Python sets this one itself where no locale is asked for.
        names.retain(|name| *name != "LC_CTYPE");
        let expected = [
            "MKL_NUM_THREADS",
            "OMP_NUM_THREADS",
            "OPENBLAS_NUM_THREADS",
            "PATH",
            "PYPROC_POOL",
            "PYPROC_SLOT",
        ];
        assert_eq!(names, expected);
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn each_worker_has_its_own_value_and_its_share_of_the_processors() {
    scenario(async {
        let workers = std::thread::available_parallelism().unwrap().get() + 1;
        let pool = pool("surroundings.py")
            .workers(workers)
            .router(pyproc::RoundRobin::default())
            .env_clear()
            .env("CUDA_VISIBLE_DEVICES", "gpu{slot}")
            .env("MKL_NUM_THREADS", "3")
            .start()
            .await
            .unwrap();
        let mut devices = BTreeSet::new();
        for _ in 0..workers {
            let found: BTreeMap<String, String> = call(&pool, "environment").await.unwrap();
            assert_eq!(
                found["CUDA_VISIBLE_DEVICES"],
                format!("gpu{}", found["PYPROC_SLOT"])
            );
            assert_eq!(found["OMP_NUM_THREADS"], "1");
            assert_eq!(found["OPENBLAS_NUM_THREADS"], "1");
            assert_eq!(found["MKL_NUM_THREADS"], "3");
            devices.insert(found["CUDA_VISIBLE_DEVICES"].clone());
        }
        assert_eq!(devices.len(), workers);
        pool.shutdown().await.unwrap();
    });
}

/// What the function `process` tells.
#[derive(Debug, serde::Deserialize)]
struct Process {
    directory: PathBuf,
    umask: u32,
    oom_score_adj: i16,
    limits: BTreeMap<String, (i64, i64)>,
}

#[test]
fn limits_directory_mask_and_score_are_as_asked_for_and_the_hosts_own_stay() {
    scenario(async {
        let directory = tempfile::tempdir().unwrap();
        let asked = pool("surroundings.py")
            .workers(1)
            .working_directory(directory.path())
            .umask(0o027)
            .oom_score_adj(700)
            .rlimit(Resource::OpenFiles, 200, 300)
            .rlimit(Resource::CpuTime, 3600, None)
            .start()
            .await
            .unwrap();
        let found: Process = call(&asked, "process").await.unwrap();
        let directory = directory.path().canonicalize().unwrap();
        assert_eq!(found.directory, directory);
        assert_eq!((found.umask, found.oom_score_adj), (0o027, 700));
        assert_eq!(found.limits["RLIMIT_NOFILE"], (200, 300));
        assert_eq!(found.limits["RLIMIT_CPU"], (3600, -1));
        assert_eq!(found.limits["RLIMIT_CORE"].0, 0);
        asked.shutdown().await.unwrap();

        let plain = pool("surroundings.py").workers(1).start().await.unwrap();
        let found: Process = call(&plain, "process").await.unwrap();
        assert_eq!(found.directory, std::env::current_dir().unwrap());
        let own = fs::read_to_string("/proc/self/oom_score_adj").unwrap();
        assert_eq!(found.oom_score_adj.to_string(), own.trim());
        assert_eq!(found.limits["RLIMIT_CORE"].0, 0);
        plain.shutdown().await.unwrap();
    });
}

#[test]
fn a_script_that_listens_is_limited_too() {
    scenario(async {
        let pool = pool("listens.py").workers(1).listen();
        let pool = pool.oom_score_adj(321).start().await.unwrap();
        let path = format!("/proc/{}/oom_score_adj", pid_of(&pool, 0));
        assert_eq!(fs::read_to_string(path).unwrap().trim(), "321");
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn the_script_finds_its_neighbours_and_the_paths_that_were_asked_for() {
    scenario(async {
        let pool = pool("surroundings.py")
            .workers(1)
            .python_path(["/srv/models"])
            .start()
            .await
            .unwrap();
        let path: Vec<String> = call(&pool, "path").await.unwrap();
        assert!(path[0].ends_with("tests/apps"), "{path:?}");
        assert!(path.contains(&"/srv/models".to_owned()), "{path:?}");
        // The working directory would shadow the standard library.
        assert!(!path.contains(&String::new()), "{path:?}");
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_worker_is_named_after_its_pool_and_slot_and_leads_a_group_of_its_own() {
    scenario(async {
        let pool = pool("surroundings.py")
            .workers(1)
            .name("iris")
            .start()
            .await
            .unwrap();
        let title: Vec<String> = call(&pool, "title").await.unwrap();
        assert_eq!(title, ["pyproc iris/0", "pyproc iris/0"]);
        assert_eq!(
            call::<u32>(&pool, "process_group").await.unwrap(),
            pid_of(&pool, 0)
        );
        assert_eq!(call::<String>(&pool, "stdin").await.unwrap(), "");
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_deadline_is_visible_in_python_as_remaining_time() {
    scenario(async {
        let pool = pool("surroundings.py").workers(1).start().await.unwrap();
        let call = pool
            .call::<_, Option<f64>>("remaining", ())
            .deadline(Duration::from_secs(30));
        let remaining = call.await.unwrap().unwrap();
        assert!((20.0..=30.0).contains(&remaining), "{remaining}");
        pool.shutdown().await.unwrap();
    });
}

#[test]
fn a_script_can_be_carried_inside_the_program() {
    scenario(async {
        let source = "@expose\ndef double(x: int) -> int:\n    return 2 * x\n";
        let pool = pool_of(source).workers(1).start().await.unwrap();
        assert_eq!(pool.name(), "app");
        assert_eq!(pool.call::<_, i64>("double", 21).await.unwrap(), 42);
        pool.shutdown().await.unwrap();
    });
}

/// An interpreter that notes each time that it is asked who it is, and is the one at `path`.
fn wrapper(directory: &Path, path: &Path) -> PathBuf {
    let wrapper = directory.join("wrapper");
    let draft = directory.join("draft");
    let (notes, path) = (directory.join("notes"), path.display());
    let script = format!(
        "#!/bin/sh\necho asked >> {}\nexec {path} \"$@\"\n",
        notes.display()
    );
    fs::write(&draft, script).unwrap();
    fs::set_permissions(&draft, Permissions::from_mode(0o755)).unwrap();
    fs::rename(draft, &wrapper).unwrap();
    wrapper
}

#[test]
fn many_workers_ask_one_interpreter_once_and_look_for_it_again_when_it_is_gone() {
    scenario(async {
        let directory = tempfile::tempdir().unwrap();
        let asked = || {
            let notes = fs::read_to_string(directory.path().join("notes")).unwrap();
            notes.lines().count()
        };
        let python = |name: &str| {
            let path = directory.path().join(name);
            let python = fs::canonicalize(python_with_packages()).unwrap();
            std::os::unix::fs::symlink(python, &path).unwrap();
            path
        };
        let old = python("old");
        let pool = pool("surroundings.py")
            .codec(Json)
            .workers(6)
            // Without the packages of an environment, which is found beside the interpreter.
            .core(Core::Pure)
            .python(wrapper(directory.path(), &old))
            .start()
            .await
            .unwrap();
        assert_eq!(asked(), 1);

        wrapper(directory.path(), &python("new"));
        fs::remove_file(old).unwrap();
        for slot in 0..2 {
            kill(pid_of(&pool, slot));
            until("it is replaced", || {
                let worker = &pool.status().workers[slot];
                (worker.generation, worker.state) == (2, WorkerState::Ready)
            })
            .await;
        }
        assert_eq!(asked(), 2);
        pool.shutdown().await.unwrap();
    });
}
