//! Growing text in pieces that never cut a character in half.
//!
//! Nothing is lost or replaced: bytes that are no UTF-8 at all pass as they are.

/// Holds back the beginning of a character until the rest of it has come.
#[derive(Default)]
pub struct Utf8Tail {
    held: Vec<u8>,
}

impl Utf8Tail {
    /// The whole characters of all that came so far and was not given out yet.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.held);
        all.extend_from_slice(bytes);
        self.held = all.split_off(all.len() - unfinished(&all));
        all
    }

    /// What is left when nothing more comes.
    pub fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }
}

/// How many bytes at the end begin a character that is not complete: three at most.
fn unfinished(bytes: &[u8]) -> usize {
    for length in 1..=3.min(bytes.len()) {
        let lead = bytes[bytes.len() - length];
        let size = match lead {
            0b1000_0000..=0b1011_1111 => continue,
            0b1100_0000..=0b1101_1111 => 2,
            0b1110_0000..=0b1110_1111 => 3,
            0b1111_0000..=0b1111_0111 => 4,
            _ => return 0,
        };
        return if size > length { length } else { 0 };
    }
    0
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
                let mut given = String::new();
                for piece in [0..cut, cut..second, second..text.len()] {
                    let whole = tail.push(&text.as_bytes()[piece]);
                    given.push_str(std::str::from_utf8(&whole).unwrap());
                }
                assert_eq!(given, text);
                assert_eq!(tail.finish(), b"");
            }
        }
    }

    #[test]
    fn what_is_no_text_passes_unchanged() {
        let mut tail = Utf8Tail::default();
        assert_eq!(tail.push(b"\xff\xfe\x80\x80\x80\x80"), b"\xff\xfe\x80\x80\x80\x80");
        assert_eq!(tail.push(b"end \xe2\x9c"), b"end ");
        assert_eq!(tail.finish(), b"\xe2\x9c");
    }
}
