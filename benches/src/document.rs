//! The tables in a document, between two marks, so that nobody copies numbers by hand.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::machine::Machine;
use crate::options::Options;

const BEGIN: &str = "<!-- bench: begin -->\n";
const END: &str = "<!-- bench: end -->";

/// Replaces what the document has between its marks.
pub(crate) fn insert(
    file: &Path,
    machine: &Machine,
    options: &Options,
    tables: &str,
) -> Result<()> {
    let document =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let runs = match options.repeat {
        1 => "one run".to_owned(),
        runs => format!("the median of {runs} runs, and in brackets the lowest and the highest"),
    };
    let seconds = options.seconds();
    let text = format!("{machine}. {seconds} s a row; {runs}.\n{tables}");
    let text = replaced(&document, &text)
        .with_context(|| format!("{} has no marks {BEGIN}…{END}", file.display()))?;
    Ok(fs::write(file, text)?)
}

fn replaced(document: &str, text: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{text}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let document = format!("a\n{BEGIN}old\n{END}\nb\n");
        let expected = format!("a\n{BEGIN}\nnew\n{END}\nb\n");
        assert_eq!(replaced(&document, "new"), Some(expected));
        assert_eq!(replaced("a", "new"), None);
    }
}
