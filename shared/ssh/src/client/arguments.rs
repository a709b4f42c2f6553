//! The arguments of `ssh` as launchers give them, and the addresses in the configuration of the attempt.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use crate::client::ClientError;

/// Options that change nothing here.
const IGNORED: &str = "46AaCgkKqTvxXyY";

/// The same, with a value.
const IGNORED_WITH_VALUE: &str = "cElmo";

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    configuration: PathBuf,
    port: Option<u16>,
    has_input: bool,
    host: String,
    command: String,
}

/// A command and where to run it.
#[derive(Debug, PartialEq, Eq)]
pub struct Target {
    /// The address or the name of the node.
    pub host: String,
    /// The port of its server.
    pub port: u16,
    /// The file with the private key.
    pub key: PathBuf,
    /// The command line.
    pub command: String,
    /// Whether it reads the standard input.
    pub has_input: bool,
}

impl Arguments {
    /// Options, the host, and all that follows as one command line.
    pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Self, ClientError> {
        let words: Result<Vec<String>, OsString> =
            words.into_iter().map(OsString::into_string).collect();
        let mut words = words.map_err(|_| ClientError::Usage)?.into_iter();
        let mut parsed = Self { has_input: true, ..Self::default() };
        loop {
            let word = words.next().ok_or(ClientError::Usage)?;
            let Some(letters) = word.strip_prefix('-') else {
                // The user name is of no use: the key decides.
                parsed.host = word.rsplit('@').next().unwrap_or_default().to_owned();
                break;
            };
            parsed.parse_options(letters, &mut words)?;
        }
        parsed.command = words.collect::<Vec<_>>().join(" ");
        if parsed.command.is_empty() { Err(ClientError::Usage) } else { Ok(parsed) }
    }

    /// The letters behind one dash. The value of the last one may follow as another word.
    fn parse_options(
        &mut self,
        letters: &str,
        words: &mut impl Iterator<Item = String>,
    ) -> Result<(), ClientError> {
        for (index, letter) in letters.char_indices() {
            let mut value = || {
                let rest = &letters[index + letter.len_utf8()..];
                let value = if rest.is_empty() { words.next() } else { Some(rest.to_owned()) };
                value.ok_or(ClientError::Usage)
            };
            match letter {
                'F' => self.configuration = value()?.into(),
                'p' => self.port = Some(value()?.parse().map_err(|_| ClientError::Usage)?),
                'n' => {
                    self.has_input = false;
                    continue;
                }
                _ if IGNORED.contains(letter) => continue,
                _ if IGNORED_WITH_VALUE.contains(letter) => drop(value()?),
                _ => return Err(ClientError::Unsupported(format!("-{letter}"))),
            }
            break;
        }
        Ok(())
    }

    /// The address of the host, from the configuration.
    pub fn target(self) -> Result<Target, ClientError> {
        let path = self.configuration.display();
        let text = fs::read_to_string(&self.configuration)
            .map_err(|error| ClientError::File(format!("{path}: {error}")))?;
        self.target_in(&text)
    }

    fn target_in(self, configuration: &str) -> Result<Target, ClientError> {
        let (mut host, mut port, mut key) = (None, None, None);
        let mut applies = false;
        for line in configuration.lines() {
            let (word, value) = line.trim().split_once(' ').unwrap_or_default();
            match word {
                "Host" => applies = value.split(' ').any(|name| name == self.host),
                "Match" => break,
                "HostName" if applies => host = Some(value.to_owned()),
                "Port" if applies => port = value.parse().ok(),
                "IdentityFile" if applies => {
                    key = Some(value.trim_matches('"').replace("%%", "%").into());
                }
                _ => {}
            }
        }
        let (Some(host), Some(port), Some(key)) = (host, self.port.or(port), key) else {
            return Err(ClientError::UnknownHost(self.host));
        };
        Ok(Target { host, port, key, command: self.command, has_input: self.has_input })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClientHost, KeyPair, client_files};
    use std::path::Path;

    fn parse(line: &str) -> Result<Arguments, ClientError> {
        Arguments::parse(line.split(' ').map(OsString::from))
    }

    #[test]
    fn launchers_arguments_are_understood() {
        let parsed = parse("-F /c -xqn -o A=b -oC=d -l root me@10.0.0.5 orted -mca x y").unwrap();
        let expected = Arguments {
            configuration: "/c".into(),
            port: None,
            has_input: false,
            host: "10.0.0.5".into(),
            command: "orted -mca x y".into(),
        };
        assert_eq!(parsed, expected);
        assert_eq!(parse("-p 23 a b").unwrap().port, Some(23));
        assert_eq!(parse("-p23 a b").unwrap().port, Some(23));
        for wrong in ["a", "-F", "-p x a b", ""] {
            assert!(matches!(parse(wrong), Err(ClientError::Usage)), "{wrong}");
        }
        assert!(matches!(parse("-tL 1:b:2 a b"), Err(ClientError::Unsupported(_))));
    }

    #[test]
    fn the_address_is_the_one_of_the_configuration() {
        let host = |name: &str, address: &str| ClientHost {
            names: vec![name.into(), format!("{name}.local")],
            address: address.parse().unwrap(),
        };
        let hosts = [host("a", "10.0.0.4:23"), host("b", "[::1]:24")];
        let key = KeyPair::from_seed(&[1; 32], "x");
        let files = client_files(Path::new("/50% off"), &hosts, &key).unwrap();
        let configuration = &files.iter().find(|file| file.path.ends_with("config")).unwrap().text;
        let target = |line| parse(line).unwrap().target_in(configuration);
        let expected = Target {
            host: "10.0.0.4".into(),
            port: 23,
            key: "/50% off/id_ed25519".into(),
            command: "c".into(),
            has_input: true,
        };
        assert_eq!(target("a.local c").unwrap(), expected);
        let other = target("-p 99 b c").unwrap();
        assert_eq!((other.host.as_str(), other.port), ("::1", 99));
        assert!(matches!(target("c c"), Err(ClientError::UnknownHost(_))));
    }
}
