//! Files by which functions and a test tell each other how far they are.

use std::path::Path;

use tempfile::TempDir;

use super::until;

/// A directory of a test's own, which goes with it, and the paths in it.
pub struct Paths(TempDir);

impl Paths {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// What was written there, or nothing.
    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub fn has(&self, name: &str) -> bool {
        Path::new(&self.path(name)).exists()
    }

    /// Makes the file for which a function waits.
    pub fn write(&self, name: &str) {
        std::fs::write(self.path(name), "").unwrap();
    }

    /// Waits until a function has made the file.
    pub async fn there_is(&self, name: &str) {
        until(name, || self.has(name)).await;
    }
}
