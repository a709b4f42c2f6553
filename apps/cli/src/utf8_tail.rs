//! Splits a growing text into pieces that end between characters.
//!
//! No byte is lost or replaced: bytes that are not UTF-8 pass unchanged.

/// Holds back the first bytes of a character until the rest of it arrives.
#[derive(Default)]
pub struct Utf8Tail {
    held: Vec<u8>,
}

impl Utf8Tail {
    /// All bytes received and not yet returned, without an incomplete character at the end.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(bytes);
        self.held = all.split_off(all.len() - incomplete(&all));
        all
    }

    /// The bytes held back, for use at the end of the text.
    pub fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }
}

/// How many bytes at the end are the beginning of a character: three at most.
fn incomplete(bytes: &[u8]) -> usize {
    let end = bytes.utf8_chunks().last().map_or(&[][..], |chunk| chunk.invalid());
    // Without a length, the error is that the input ended too early.
    let is_incomplete = std::str::from_utf8(end).is_err_and(|error| error.error_len().is_none());
    if is_incomplete { end.len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_stay_whole_wherever_the_text_is_cut() {
        let text = "épreuve ✓ 🎉 Ω\n";
        for cut in 0..=text.len() {
            for second in cut..=text.len() {
                let mut tail = Utf8Tail::default();
                let mut returned = String::new();
                for piece in [0..cut, cut..second, second..text.len()] {
                    let whole = tail.push(&text.as_bytes()[piece]);
                    returned.push_str(std::str::from_utf8(&whole).unwrap());
                }
                assert_eq!(returned, text);
                assert_eq!(tail.finish(), b"");
            }
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_pass_unchanged() {
        let mut tail = Utf8Tail::default();
        assert_eq!(tail.push(b"\xff\xfe\x80\x80\x80\x80"), b"\xff\xfe\x80\x80\x80\x80");
        assert_eq!(tail.push(b"end \xe2\x9c"), b"end ");
        assert_eq!(tail.finish(), b"\xe2\x9c");
    }
}
