//! pkt-lines (gitprotocol-common): four hex digits of length, which count themselves, then bytes.

/// Largest pkt-line with its four digits (gitprotocol-common: LARGE_PACKET_MAX).
pub(crate) const PACKET_MAX: usize = 65_520;

/// The packet that ends a section.
pub(crate) const FLUSH: &[u8] = b"0000";

/// What four digits announce.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Head {
    Flush,
    /// This many bytes follow.
    Data(usize),
}

/// Reads the length; `None` if it is no length a push may have.
pub(crate) fn head(digits: [u8; 4]) -> Option<Head> {
    let length = digits.iter().try_fold(0usize, |sum, digit| {
        let value = char::from(*digit).to_digit(16)?;
        Some(sum * 16 + value as usize)
    })?;
    match length {
        0 => Some(Head::Flush),
        4..=PACKET_MAX => Some(Head::Data(length - 4)),
        _ => None,
    }
}

/// Appends one packet; `content` must fit (`PACKET_MAX - 4` bytes).
pub(crate) fn write(out: &mut Vec<u8>, content: &[u8]) {
    debug_assert!(content.len() <= PACKET_MAX - 4);
    out.extend_from_slice(format!("{:04x}", content.len() + 4).as_bytes());
    out.extend_from_slice(content);
}

/// Appends content of any length as packets of one side band, and nothing for no content.
pub(crate) fn write_band(out: &mut Vec<u8>, band: u8, content: &[u8]) {
    for part in content.chunks(PACKET_MAX - 5) {
        out.extend_from_slice(format!("{:04x}", part.len() + 5).as_bytes());
        out.push(band);
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        for (digits, expect) in [
            (b"0000", Some(Head::Flush)),
            (b"0004", Some(Head::Data(0))),
            (b"fff0", Some(Head::Data(65_516))),
            (b"FFF0", Some(Head::Data(65_516))),
            (b"fff1", None),
            (b"ffff", None),
            (b"0001", None),
            (b"0002", None),
            (b"0003", None),
            (b"+005", None),
            (b"00 5", None),
            (b"PACK", None),
        ] {
            assert_eq!(head(*digits), expect, "{digits:?}");
        }
    }

    #[test]
    fn long_content_is_cut_at_the_largest_packet() {
        let mut out = Vec::new();
        write_band(&mut out, 2, &vec![b'x'; PACKET_MAX]);
        assert_eq!(&out[..5], b"fff0\x02");
        assert_eq!(&out[PACKET_MAX..PACKET_MAX + 5], b"000a\x02");
        assert_eq!(out.len(), PACKET_MAX + 10);
    }
}
