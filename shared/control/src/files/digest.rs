//! SHA-256 of a file, over several requests: a function must answer soon, and a file may be large. What a
//! request has computed travels, signed, in its answer.

use sha2_blocks::block_api::compress256;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// How much one request reads: a few seconds of a small function.
pub const DIGEST_STEP_BYTES: u64 = 256 << 20;

const BLOCK: usize = 64;
const BUFFER: usize = 1 << 20;

/// SHA-256 of the first bytes of a file (FIPS 180-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartialDigest {
    /// The length of the file when the computation began. A file may grow meanwhile.
    length: u64,
    /// How many bytes were read; a multiple of the size of a block.
    read: u64,
    state: [u32; 8],
}

impl PartialDigest {
    /// Nothing of a file of this many bytes was read yet.
    pub fn start(length: u64) -> Self {
        let state = [
            0x6a09_e667,
            0xbb67_ae85,
            0x3c6e_f372,
            0xa54f_f53a,
            0x510e_527f,
            0x9b05_688c,
            0x1f83_d9ab,
            0x5be0_cd19,
        ];
        Self { length, read: 0, state }
    }

    /// The bytes that the digest is of.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Reads on, [`DIGEST_STEP_BYTES`] at most. The digest in lower-case hexadecimal digits, once all is read.
    ///
    /// # Errors
    /// What the file system reports; `UnexpectedEof` when the file is shorter than it was.
    pub fn advance(&mut self, file: &File) -> io::Result<Option<String>> {
        let mut buffer = vec![0; BUFFER];
        let until = self.length.min(self.read + DIGEST_STEP_BYTES);
        while until - self.read >= BLOCK as u64 {
            let size = usize::try_from(until - self.read).unwrap_or(BUFFER).min(BUFFER);
            let part = &mut buffer[..size - size % BLOCK];
            file.read_exact_at(part, self.read)?;
            self.compress(part);
            self.read += part.len() as u64;
        }
        if self.length - self.read >= BLOCK as u64 {
            return Ok(None);
        }
        let rest = usize::try_from(self.length - self.read).unwrap_or(0);
        file.read_exact_at(&mut buffer[..rest], self.read)?;
        let mut last = buffer[..rest].to_vec();
        last.push(0x80);
        last.resize(if rest < BLOCK - 8 { BLOCK - 8 } else { 2 * BLOCK - 8 }, 0);
        last.extend((self.length * 8).to_be_bytes());
        self.compress(&last);
        Ok(Some(self.state.iter().map(|word| format!("{word:08x}")).collect()))
    }

    fn compress(&mut self, blocks: &[u8]) {
        let (blocks, _none) = blocks.as_chunks::<BLOCK>();
        compress256(&mut self.state, blocks);
    }

    /// As text for an answer.
    pub fn to_text(&self) -> String {
        let state: Vec<String> = self.state.iter().map(|word| format!("{word:x}")).collect();
        format!("{}.{}.{}", self.length, self.read, state.join("."))
    }

    /// What [`Self::to_text`] wrote. The text is trusted: it has to be signed.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let (length, read) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let mut state = [0; 8];
        for word in &mut state {
            *word = u32::from_str_radix(parts.next()?, 16).ok()?;
        }
        (parts.next().is_none() && read <= length).then_some(Self { length, read, state })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};
    use std::io::Write;

    #[test]
    fn the_digest_is_sha_256_at_every_length_around_a_block() {
        for length in (0..200).chain([BUFFER - 1, BUFFER, BUFFER + 1, 3 * BUFFER + 77]) {
            let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&bytes).unwrap();
            let digest = PartialDigest::start(length as u64).advance(&file).unwrap();
            assert_eq!(digest, Some(hex::encode(Sha256::digest(&bytes))), "{length}");
        }
    }

    #[test]
    fn a_digest_continues_from_its_text() {
        let file = tempfile::tempfile().unwrap();
        let length = DIGEST_STEP_BYTES + 3 * BUFFER as u64 + 5;
        // A file of zeros that takes no space.
        file.set_len(length).unwrap();
        let mut digest = PartialDigest::start(length);
        assert_eq!(digest.advance(&file).unwrap(), None);
        let mut continued = PartialDigest::parse(&digest.to_text()).unwrap();
        assert_eq!(continued, digest);
        let mut whole = Sha256::new();
        let zeros = vec![0; BUFFER];
        for _ in 0..length / BUFFER as u64 {
            whole.update(&zeros);
        }
        whole.update(&zeros[..5]);
        assert_eq!(continued.advance(&file).unwrap(), Some(hex::encode(whole.finalize())));
    }

    #[test]
    fn a_file_that_shrank_has_no_digest() {
        let file = tempfile::tempfile().unwrap();
        let error = PartialDigest::start(100).advance(&file).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "1.2", "1.0.1.2.3.4.5.6.7", "1.2.1.2.3.4.5.6.7.8", "9.0.1.2.3.4.5.6.7.x"] {
            assert_eq!(PartialDigest::parse(text), None, "{text}");
        }
    }
}
