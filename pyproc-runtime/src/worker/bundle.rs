//! What a worker gets to read first: the Python package, and what to run.

mod package;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use package::MODULES;
use pyproc_proto::PROTOCOL_VERSION;
use serde_json::Value;

use super::isolation::Hard;
use super::{Core, EventLoop, Isolation};
use crate::script::ResolvedTarget;

/// The program that reads the bundle from descriptor 0 and starts the worker; one screen of
/// Python, passed on the command line.
const BOOTSTRAP: &str = include_str!("../../python/pyproc/_bootstrap.py");

/// The arguments of an interpreter that is to read a bundle.
pub(crate) fn arguments() -> Vec<OsString> {
    vec![
        "-X".into(),
        "faulthandler".into(),
        "-c".into(),
        BOOTSTRAP.into(),
    ]
}

/// What the worker does with its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It imports the target and serves the connection on descriptor 0.
    Connection,
    /// It runs the target as `__main__`, which listens on `PYPROC_SOCKET_PATH`.
    Listen,
}

/// The bundle as it goes over the wire: a length of four bytes, big-endian, and then JSON.
pub(crate) fn bundle(
    target: &ResolvedTarget,
    mode: Mode,
    core: Core,
    event_loop: EventLoop,
    python_path: &[PathBuf],
    isolation: &Isolation,
) -> Vec<u8> {
    let modules = modules();
    let target = target_json(target);
    // Where no lifeline comes with a `Hello`, the worker watches the socket that it was born with.
    let (mode, lifeline) = match mode {
        Mode::Connection => ("connection", false),
        Mode::Listen => ("listen", true),
    };
    let python_path: Vec<String> = python_path.iter().map(|path| path_json(path)).collect();
    let python_path = python_path.join(",");
    let core = core.name();
    let event_loop = event_loop.name();
    let process = isolation_json(isolation);
    let json = format!(
        r#"{{"protocol":{PROTOCOL_VERSION},"modules":{modules},"target":{target},"mode":"{mode}","core":"{core}","event_loop":"{event_loop}","lifeline":{lifeline},"python_path":[{python_path}],"process":{process}}}"#
    );

    // A bundle is some hundred kilobytes of our own and one source text of the user's.
    let length = u32::try_from(json.len()).unwrap_or(u32::MAX);
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(json.as_bytes());
    bytes
}

/// The modules as a JSON object, from path to source text. The same for every worker.
fn modules() -> &'static str {
    static MODULES_JSON: OnceLock<String> = OnceLock::new();
    MODULES_JSON.get_or_init(|| {
        let sources = MODULES
            .iter()
            .map(|(path, source)| ((*path).to_owned(), Value::from(*source)));
        Value::Object(sources.collect()).to_string()
    })
}

fn target_json(target: &ResolvedTarget) -> String {
    match target {
        ResolvedTarget::Script(path) => format!(r#"{{"path":{}}}"#, path_json(path)),
        ResolvedTarget::Module(name) => serde_json::json!({ "module": name }).to_string(),
        ResolvedTarget::Source { name, source } => {
            serde_json::json!({ "name": name, "source": source }).to_string()
        }
    }
}

/// What the worker does to its own process: only what it is asked for, and `null` for a hard limit that it leaves.
fn isolation_json(isolation: &Isolation) -> String {
    let number = |limit: Option<u64>| limit.map_or_else(|| "-1".to_owned(), |n| n.to_string());
    let limits = isolation
        .limits()
        .into_iter()
        .map(|(resource, soft, hard)| {
            let hard = match hard {
                Hard::Kept => "null".to_owned(),
                Hard::Of(hard) => number(hard),
            };
            format!(r#"["{}",{},{hard}]"#, resource.python_name(), number(soft))
        });
    let limits = limits.collect::<Vec<_>>().join(",");
    let mut json = format!(r#"{{"limits":[{limits}]"#);
    if let Some(score) = isolation.oom_score_adj {
        json.push_str(&format!(r#","oom_score_adj":{score}"#));
    }
    if let Some(mask) = isolation.umask {
        json.push_str(&format!(r#","umask":{mask}"#));
    }
    if let Some(path) = &isolation.working_directory {
        json.push_str(&format!(r#","working_directory":{}"#, path_json(path)));
    }
    json.push('}');
    json
}

/// A path as a JSON string. Paths are bytes, and Python keeps a byte that is not UTF-8 as a lone
/// surrogate (PEP 383), which JSON can write and a Rust string cannot.
fn path_json(path: &Path) -> String {
    let mut json = String::from('"');
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        let quoted = Value::from(chunk.valid()).to_string();
        json.push_str(&quoted[1..quoted.len() - 1]);
        for byte in chunk.invalid() {
            json.push_str(&format!("\\udc{byte:02x}"));
        }
    }
    json.push('"');
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::Resource;
    use std::ffi::OsStr;

    fn parse(bundle: &[u8]) -> Value {
        let (length, json) = bundle.split_at(4);
        assert_eq!(length, u32::try_from(json.len()).unwrap().to_be_bytes());
        serde_json::from_slice(json).unwrap()
    }

    fn plain(target: &ResolvedTarget, mode: Mode) -> Vec<u8> {
        bundle(
            target,
            mode,
            Core::Auto,
            EventLoop::Asyncio,
            &[],
            &Isolation::default(),
        )
    }

    #[test]
    fn a_bundle_says_what_to_run_and_how() {
        let script = ResolvedTarget::Script("/srv/\"iris\".py".into());
        let bundle = parse(&bundle(
            &script,
            Mode::Connection,
            Core::Native,
            EventLoop::Uvloop,
            &["/lib/a".into()],
            &Isolation::default(),
        ));
        assert_eq!(bundle["protocol"], 1);
        assert_eq!(bundle["target"]["path"], "/srv/\"iris\".py");
        assert_eq!(bundle["mode"], "connection");
        assert_eq!(bundle["core"], "native");
        assert_eq!(bundle["event_loop"], "uvloop");
        assert_eq!(bundle["python_path"], serde_json::json!(["/lib/a"]));
    }

    #[test]
    fn a_target_is_a_module_or_carries_its_source() {
        let module = ResolvedTarget::Module("models.iris".to_owned());
        let bundle_of_module = parse(&plain(&module, Mode::Listen));
        assert_eq!(bundle_of_module["target"]["module"], "models.iris");
        assert_eq!(bundle_of_module["mode"], "listen");

        let source = ResolvedTarget::Source {
            name: "iris.py".to_owned(),
            source: "print('ä')\n".to_owned(),
        };
        let bundle_of_source = parse(&plain(&source, Mode::Connection));
        assert_eq!(bundle_of_source["target"]["name"], "iris.py");
        assert_eq!(bundle_of_source["target"]["source"], "print('ä')\n");
    }

    #[test]
    fn a_bundle_says_what_the_process_may_do() {
        let isolation = Isolation {
            working_directory: Some("/srv".into()),
            umask: Some(0o77),
            oom_score_adj: Some(500),
            limits: [(Resource::OpenFiles, (Some(64), None))].into(),
            ..Isolation::default()
        };
        let process: Value = serde_json::from_str(&isolation_json(&isolation)).unwrap();
        let expected = serde_json::json!({
            "limits": [["RLIMIT_NOFILE", 64, -1], ["RLIMIT_CORE", 0, null]],
            "oom_score_adj": 500,
            "umask": 63,
            "working_directory": "/srv",
        });
        assert_eq!(process, expected);
    }

    #[test]
    fn a_path_that_is_not_unicode_is_escaped_as_python_does() {
        let path = Path::new(OsStr::from_bytes(b"/a\xff\"b"));
        assert_eq!(path_json(path), r#""/a\udcff\"b""#);
    }
}
