//! What `#[pyproc::remote]` accepts, and what it says about the rest.

#[path = "ui/pass/lints.rs"]
#[allow(unreachable_pub, reason = "the file is a program of its own elsewhere")]
mod lints;

#[test]
fn good_traits_compile_and_run() {
    trybuild::TestCases::new().pass("tests/ui/pass/*.rs");
}

#[test]
fn mistakes_are_reported_where_they_are() {
    trybuild::TestCases::new().compile_fail("tests/ui/fail/*.rs");
}

/// Clippy does not see what trybuild compiles, so one of its files is compiled here too.
#[test]
fn the_expansion_has_no_lints() {
    lints::main();
}
