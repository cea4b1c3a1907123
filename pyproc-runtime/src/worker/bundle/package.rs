//! The Python package, carried inside the host so that it needs nothing but an interpreter.

macro_rules! embedded {
    ($($path:literal)*) => {
        &[$(($path, include_str!(concat!("../../../python/", $path)))),*]
    };
}

/// The modules of the package: path and source text.
pub(super) const MODULES: &[(&str, &str)] = embedded! {
    "pyproc/__init__.py"
    "pyproc/__main__.py"
    "pyproc/_accepted.py"
    "pyproc/_annotation.py"
    "pyproc/_async_calls.py"
    "pyproc/_async_items.py"
    "pyproc/_batch.py"
    "pyproc/_batch_run.py"
    "pyproc/_bind.py"
    "pyproc/_bootstrap.py"
    "pyproc/_cancellation.py"
    "pyproc/_cli.py"
    "pyproc/_codec.py"
    "pyproc/_codec_json.py"
    "pyproc/_codec_msgpack.py"
    "pyproc/_connection.py"
    "pyproc/_connection_binary.py"
    "pyproc/_connection_json.py"
    "pyproc/_context.py"
    "pyproc/_core.py"
    "pyproc/_dispatch.py"
    "pyproc/_dump.py"
    "pyproc/_dump_scalars.py"
    "pyproc/_errors.py"
    "pyproc/_event_loop.py"
    "pyproc/_failure.py"
    "pyproc/_fork.py"
    "pyproc/_greeting.py"
    "pyproc/_handshake.py"
    "pyproc/_hooks.py"
    "pyproc/_instead.py"
    "pyproc/_interrupt.py"
    "pyproc/_isolation.py"
    "pyproc/_items.py"
    "pyproc/_lane.py"
    "pyproc/_large.py"
    "pyproc/_leave.py"
    "pyproc/_lifeline.py"
    "pyproc/_listen.py"
    "pyproc/_listener.py"
    "pyproc/_local.py"
    "pyproc/_logging.py"
    "pyproc/_logging_hook.py"
    "pyproc/_loop_async.py"
    "pyproc/_loop_listening.py"
    "pyproc/_loop_native.py"
    "pyproc/_loop_sync.py"
    "pyproc/_protocol.py"
    "pyproc/_record.py"
    "pyproc/_registry.py"
    "pyproc/_request.py"
    "pyproc/_run.py"
    "pyproc/_runner.py"
    "pyproc/_schema.py"
    "pyproc/_script.py"
    "pyproc/_shape.py"
    "pyproc/_shape_choices.py"
    "pyproc/_shape_containers.py"
    "pyproc/_shape_msgspec.py"
    "pyproc/_shape_pydantic.py"
    "pyproc/_shape_records.py"
    "pyproc/_shapes.py"
    "pyproc/_signals.py"
    "pyproc/_signature.py"
    "pyproc/_spin.py"
    "pyproc/_splitter.py"
    "pyproc/_stacks.py"
    "pyproc/_state_page.py"
    "pyproc/_stdio.py"
    "pyproc/_steps.py"
    "pyproc/_stream.py"
    "pyproc/_thread_items.py"
    "pyproc/_threads.py"
    "pyproc/_title.py"
    "pyproc/_version.py"
    "pyproc/_wait.py"
    "pyproc/_worker.py"
    "pyproc/testing.py"
    "pyproc_worker/__init__.py"
};

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::path::{Path, PathBuf};

    #[test]
    fn every_module_of_the_package_is_embedded() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
        let mut missing = Vec::new();
        collect(&root, &mut missing);
        missing.retain(|path| !MODULES.iter().any(|(known, _)| path.ends_with(known)));
        assert!(missing.is_empty(), "to be added to MODULES: {missing:?}");
    }

    fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in directory.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension() == Some(OsStr::new("py")) {
                found.push(path);
            }
        }
    }
}
