//! Whether a JPEG file is all there. Its decoder fills what is missing with grey and says nothing.

/// Marker of the end of the picture (ITU T.81, table B.1).
const END: u8 = 0xd9;

/// Returns whether these bytes begin as a JPEG file does.
pub(crate) fn is_jpeg(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff, 0xd8, 0xff])
}

/// Returns whether a JPEG file has the marker of its end: not one within a segment, as that of a thumbnail, nor one of a
/// picture that follows.
pub(crate) fn has_end(bytes: &[u8]) -> bool {
    // After the marker of the start.
    let mut rest = bytes.get(2..).unwrap_or_default();
    while let Some(at) = rest.windows(2).position(|pair| pair[0] == 0xff && is_marker(pair[1])) {
        if rest[at + 1] == END {
            return true;
        }
        // A segment: its length counts itself. Compressed data may follow, in which 0xff is followed by no marker.
        let Some(&[high, low]) = rest.get(at + 2..at + 4) else { return false };
        let length = usize::from(u16::from_be_bytes([high, low]));
        rest = rest.get(at + 2 + length..).unwrap_or_default();
    }
    false
}

/// Returns whether 0xff and this byte begin a segment or the end: not a stuffed or a fill byte, nor a restart.
fn is_marker(byte: u8) -> bool {
    !matches!(byte, 0x00 | 0x01 | 0xd0..=0xd8 | 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_that_of_the_picture_itself() {
        let start = [0xff, 0xd8];
        // A segment with a thumbnail in it, a scan with a stuffed byte, a fill byte and a restart, and the end.
        let thumbnail = [0xff, 0xe1, 0, 6, 0xff, 0xd8, 0xff, 0xd9];
        let scan = [0xff, 0xff, 0xda, 0, 3, 0, 1, 0xff, 0x00, 2, 0xff, 0xd0, 3, 0xff, 0xff];
        let whole = [&start[..], &thumbnail, &scan, &[0xff, 0xd9]].concat();
        assert!(is_jpeg(&whole) && has_end(&whole));
        for end in 0..whole.len() {
            assert!(!has_end(&whole[..end]), "{end}");
        }
        assert!(has_end(&[&whole[..], &[1, 2, 3]].concat()));
        assert!(!is_jpeg(b"\x89PNG\r\n"));
    }
}
