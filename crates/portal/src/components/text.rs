use std::borrow::Cow;
use std::fmt;

use askama::filters::HtmlSafe;

/// Text that somebody else wrote: a commit message, a reason, a line of output. It is isolated, so that it
/// does not turn around what stands beside it, and nothing in it is invisible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text(pub String);

impl<T: Into<String>> From<T> for Text {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<bdi>")?;
        marked(&clean(&self.0), f)?;
        f.write_str("</bdi>")
    }
}

impl HtmlSafe for Text {}

/// What stands between two backticks on a line is code, as people and the platform write it.
fn marked(text: &str, f: &mut impl fmt::Write) -> fmt::Result {
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('`') {
        let code = behind.split_once('`').filter(|(code, _)| !code.is_empty() && !code.contains('\n'));
        let Some((code, after)) = code else { break };
        escape(before, f)?;
        f.write_str("<code>")?;
        escape(code, f)?;
        f.write_str("</code>")?;
        rest = after;
    }
    escape(rest, f)
}

/// Text as HTML, also inside quoted attributes.
pub(crate) fn escape(text: &str, f: &mut impl fmt::Write) -> fmt::Result {
    for c in text.chars() {
        match c {
            '&' => f.write_str("&amp;")?,
            '<' => f.write_str("&lt;")?,
            '>' => f.write_str("&gt;")?,
            '"' => f.write_str("&quot;")?,
            '\'' => f.write_str("&#39;")?,
            c => f.write_char(c)?,
        }
    }
    Ok(())
}

/// What would act instead of being seen is shown by its number: control characters, and those that change
/// the direction of text (Unicode UAX #9 §2), with which a line can be made to read as another one.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if acts(c) {
            out.push_str(&format!("⟨{:04X}⟩", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

fn acts(c: char) -> bool {
    let direction =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let unseen = matches!(c, '\u{200b}' | '\u{2060}' | '\u{feff}' | '\u{2028}' | '\u{2029}');
    (c.is_control() && !matches!(c, '\n' | '\t')) || direction || unseen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &str) {
        assert_eq!(Text::from(text).to_string(), format!("<bdi>{expect}</bdi>"));
    }

    #[test]
    fn text_of_others_is_shown_and_does_nothing() {
        check("fix: a & b", "fix: a &amp; b");
        check("<script>alert(\"1\")</script>", "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;");
        check("a\u{202e}b\u{2066}c", "a⟨202E⟩b⟨2066⟩c");
        check("\u{1b}[31mred\u{7}\0", "⟨001B⟩[31mred⟨0007⟩⟨0000⟩");
        check("zero\u{200b}width\ttab", "zero⟨200B⟩width\ttab");
        check("the process `web` <b>", "the process <code>web</code> &lt;b&gt;");
        check("`<i>` and ` alone", "<code>&lt;i&gt;</code> and ` alone");
        check("`` a `b\nc`", "`` a `b\nc`");
        check("grüße 👩‍👩‍👧", "grüße 👩‍👩‍👧");
    }
}
