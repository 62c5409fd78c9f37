use api::run::LogLine;
use base::Digest;

use super::text::{clean, escape};

/// Longest line shown, characters; the API keeps the rest.
const CHARS_MAX: usize = 4_000;

/// A line of output as HTML: when, and what, with the colours that it asks for. Its id is the same
/// whenever it is shown, so that a line that comes twice is shown once.
pub(crate) fn log_line(line: &LogLine) -> String {
    let at = line.at.to_string();
    let clock = at.get(11..23).unwrap_or(&at);
    let mark = Digest::of(format!("{} {at} {} {}", line.instance, line.stream, line.text).as_bytes()).to_string();
    let id: String = mark.chars().rev().take(12).collect();
    let stream = match line.stream.as_str() {
        "err" => " err",
        "platform" => " platform",
        _ => "",
    };
    let mut out = format!(
        "<span class=\"line{stream}\" id=\"l-{id}\"><a class=\"at\" href=\"#l-{id}\" title=\"{at}\">{clock}</a> "
    );
    coloured(&line.text, &mut out);
    out.push_str("</span>");
    out
}

/// Text with the colours of terminals (ECMA-48 §8.3.117) as classes. Every other sequence is shown as what it is.
fn coloured(text: &str, out: &mut String) {
    let text: String = text.chars().take(CHARS_MAX).collect();
    let mut open = false;
    for (at, part) in text.split("\u{1b}[").enumerate() {
        let (codes, rest) = match part.find('m').filter(|_| at > 0) {
            Some(end)
                if part.get(..end).is_some_and(|codes| codes.bytes().all(|b| b.is_ascii_digit() || b == b';')) =>
            {
                (part.get(..end), part.get(end.saturating_add(1)..).unwrap_or_default())
            }
            _ => (None, part),
        };
        match codes {
            Some(codes) => {
                if open {
                    out.push_str("</span>");
                }
                let classes: Vec<String> = codes.split(';').filter_map(class).collect();
                open = !classes.is_empty();
                if open {
                    out.push_str(&format!("<span class=\"{}\">", classes.join(" ")));
                }
            }
            None if at > 0 => out.push_str("⟨001B⟩["),
            None => {}
        }
        let _never_fails = escape(&clean(rest), out);
    }
    if open {
        out.push_str("</span>");
    }
}

/// The class of a code that the style sheet knows; 0 and what is unknown have none.
fn class(code: &str) -> Option<String> {
    let number: u8 = code.parse().ok()?;
    matches!(number, 1..=4 | 30..=37 | 90..=97).then(|| format!("ansi-{number}"))
}

#[cfg(test)]
mod tests {
    use base::{InstanceId, Time};

    use super::*;

    fn html(text: &str) -> String {
        log_line(&LogLine {
            at: Time::from_micros(1_790_000_000_123_456),
            instance: InstanceId::new(Time::default(), [1; 10]),
            process: "web".parse().unwrap(),
            stream: "err".into(),
            text: text.into(),
        })
    }

    #[test]
    fn colours_become_classes_and_everything_else_does_nothing() {
        let line = html("\u{1b}[31;1mred\u{1b}[0m <b> \u{1b}[2J\u{1b}]0;title\u{7}");
        assert!(
            line.contains("<span class=\"ansi-31 ansi-1\">red</span> &lt;b&gt; ⟨001B⟩[2J⟨001B⟩]0;title⟨0007⟩"),
            "{line}"
        );
        assert!(line.starts_with("<span class=\"line err\" id=\"l-"), "{line}");
        for hostile in ["</span></pre><script>", "\u{1b}[31\"onclick=xm", "\u{1b}[", "\u{202e}x", "\u{1b}[31m"] {
            let line = html(hostile);
            assert!(!line.contains("<script") && !line.contains("\"onclick") && !line.contains('\u{202e}'), "{line}");
            assert_eq!(line.matches("<span").count(), line.matches("</span").count(), "{line}");
        }
    }

    #[test]
    fn the_same_line_has_the_same_id() {
        assert_eq!(html("a"), html("a"));
        assert_ne!(html("a"), html("b"));
        assert!(html("a").contains(">14:13:20.123</a>"), "{}", html("a"));
    }
}
