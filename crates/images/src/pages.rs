//! Large pages for large sets.
//!
//! Images in memory are read in random order, and with pages of 4 KiB most reads first have to find where their page is. On
//! Linux the system is asked to move a large set to pages of 2 MiB; if it does not, everything works the same, slower.
#![cfg_attr(target_os = "linux", expect(unsafe_code, reason = "gives the system a hint about memory"))]

/// Below this, sets stay in the caches anyway.
const LARGE: usize = 8 << 20;

/// The pages asked for.
const HUGE: usize = 2 << 20;

/// Asks for large pages under the whole ones of these bytes.
pub(crate) fn prefer_large(bytes: &[u8]) {
    let start = bytes.as_ptr().addr().next_multiple_of(HUGE);
    let end = (bytes.as_ptr().addr() + bytes.len()) / HUGE * HUGE;
    if LARGE <= bytes.len() && start < end {
        advise(bytes.as_ptr().wrapping_add(start - bytes.as_ptr().addr()), end - start);
    }
}

#[cfg(target_os = "linux")]
fn advise(start: *const u8, length: usize) {
    for advice in [libc::MADV_HUGEPAGE, libc::MADV_COLLAPSE] {
        // SAFETY: the range lies within a live allocation, and neither advice changes what memory holds; that the system
        // does not know it or refuses is of no matter.
        let _ = unsafe { libc::madvise(start.cast_mut().cast(), length, advice) };
    }
}

#[cfg(not(target_os = "linux"))]
fn advise(_: *const u8, _: usize) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_changes_nothing_at_any_offset() {
        let bytes: Vec<u8> = (0..LARGE + 3 * HUGE + 12_345).map(|i| (i % 251) as u8).collect();
        for offset in [0, 1, 4097] {
            prefer_large(&bytes[offset..]);
        }
        assert!(bytes.iter().enumerate().all(|(i, &byte)| byte == (i % 251) as u8));
        prefer_large(&[]);
    }
}
