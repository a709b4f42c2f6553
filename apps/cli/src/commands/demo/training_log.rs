//! Parses the output of the training script, line by line.

use crate::log_tail::Piece;

#[derive(Default)]
pub struct TrainingLog {
    /// The incomplete last line.
    partial_line: Vec<u8>,
    /// The last attempt with output.
    pub attempt: u32,
    /// The last completed epoch; it has a checkpoint.
    pub epoch: u32,
    /// Loss and test accuracy of that epoch, as printed by the script.
    pub metrics: String,
    /// From "resumed from the checkpoint of epoch K": the attempt that printed it, and K.
    pub resumed: Option<(u32, u32)>,
}

impl TrainingLog {
    pub fn read(&mut self, piece: Piece) {
        match piece {
            Piece::AttemptStarted(number) => {
                self.partial_line.clear();
                self.attempt = number;
            }
            Piece::Text(text) => {
                self.attempt = self.attempt.max(1);
                self.partial_line.extend(text);
                while let Some(end) = self.partial_line.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = self.partial_line.drain(..=end).collect();
                    self.line(String::from_utf8_lossy(&line).trim());
                }
            }
        }
    }

    fn line(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("resumed from the checkpoint of epoch ") {
            if let Some(epoch) = leading_number(rest) {
                self.resumed = Some((self.attempt, epoch));
                self.epoch = epoch;
            }
        } else if let Some((count, metrics)) = epoch_line(line) {
            self.epoch = count;
            self.metrics = metrics.replace("test accuracy", "accuracy");
        }
    }
}

/// "epoch  5/18  loss 0.1234  test accuracy 0.9499"
fn epoch_line(line: &str) -> Option<(u32, &str)> {
    let (count, rest) = line.strip_prefix("epoch ")?.split_once('/')?;
    let (_, metrics) = rest.split_once("  ")?;
    Some((count.trim().parse().ok()?, metrics.trim()))
}

fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Piece {
        Piece::Text(text.as_bytes().to_vec())
    }

    #[test]
    fn epochs_are_read_from_partial_lines() {
        let mut log = TrainingLog::default();
        log.read(text("starting from scratch\nepoch  9/18  loss 0.5  te"));
        assert_eq!((log.attempt, log.epoch, log.metrics.as_str()), (1, 0, ""));
        log.read(text("st accuracy 0.91\nepoch 10/18  loss 0.4  test accuracy 0.92\nepo"));
        assert_eq!((log.epoch, log.metrics.as_str()), (10, "loss 0.4  accuracy 0.92"));
        assert_eq!(log.resumed, None);
    }

    #[test]
    fn the_epoch_of_a_resumed_attempt_is_read() {
        let mut log = TrainingLog::default();
        log.read(text("epoch  7/18  loss 0.5  test accuracy 0.91\ninterrupted at ep"));
        log.read(Piece::AttemptStarted(2));
        log.read(text("resumed from the checkpoint of epoch 7, mini-batch 12\n"));
        assert_eq!(log.resumed, Some((2, 7)));
        assert_eq!((log.attempt, log.epoch), (2, 7));
    }
}
