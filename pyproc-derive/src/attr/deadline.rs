use std::time::Duration;
use syn::LitStr;

/// Reads a whole number of `ms`, `s` or `min`.
pub(crate) fn parse(literal: &LitStr) -> syn::Result<Duration> {
    let text = literal.value();
    let end = text.find(|character: char| !character.is_ascii_digit());
    let (digits, unit) = text.split_at(end.unwrap_or(text.len()));
    let milliseconds_per_unit = match unit.trim_start() {
        "ms" => Some(1),
        "s" => Some(1_000),
        "min" => Some(60_000),
        _ => None,
    };
    let count = digits.parse::<u64>().ok();
    let milliseconds = match (count, milliseconds_per_unit) {
        (Some(count), Some(unit)) => count.checked_mul(unit),
        _ => None,
    };
    match milliseconds {
        Some(0) => Err(error(literal, "is over before the call starts")),
        Some(milliseconds) => Ok(Duration::from_millis(milliseconds)),
        None => Err(error(literal, "cannot be read")),
    }
}

fn error(literal: &LitStr, problem: &str) -> syn::Error {
    let message = format!(
        r#"the deadline `{}` {problem}; write a whole number and `ms`, `s` or `min`, as in "250ms""#,
        literal.value()
    );
    syn::Error::new(literal.span(), message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proc_macro2::Span;

    fn read(text: &str) -> Option<Duration> {
        parse(&LitStr::new(text, Span::call_site())).ok()
    }

    #[test]
    fn a_deadline_is_a_whole_number_and_a_unit() {
        assert_eq!(read("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(read("3 s"), Some(Duration::from_secs(3)));
        assert_eq!(read("2min"), Some(Duration::from_secs(120)));
    }

    #[test]
    fn anything_else_is_refused() {
        let unreadable = [
            "", "5", "ms", "1.5s", "-1s", "+1s", "5h", "5s ", "0ms", "１s",
        ];
        let too_long = ["99999999999999999999ms", "18446744073709551615min"];
        for text in unreadable.into_iter().chain(too_long) {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
