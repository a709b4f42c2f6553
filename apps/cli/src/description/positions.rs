//! Where the values of a JSON text are, by their paths.

use std::collections::HashMap;
use std::fmt;

/// A place in a text, counted from 1. Columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

/// The places of all fields and values of a text, by paths such as `properties.mounts[0].name`. The
/// place of a field is that of its name.
pub struct Positions(HashMap<String, Position>);

impl Positions {
    /// `text` is valid JSON; of any other text, places may be missing.
    pub fn of(text: &str) -> Self {
        let mut scanner = Scanner {
            rest: text.chars().collect(),
            next: 0,
            at: Position { line: 1, column: 1 },
            found: HashMap::new(),
        };
        scanner.value("", 0);
        Self(scanner.found)
    }

    /// The place of a value or, where the text does not have it, of the nearest value around it.
    pub fn of_path(&self, path: &str) -> Option<Position> {
        let mut path = path;
        loop {
            if let Some(found) = self.0.get(path) {
                return Some(*found);
            }
            path = match path.rfind(['.', '[']) {
                Some(end) => &path[..end],
                None if path.is_empty() => return None,
                None => "",
            };
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.line, self.column)
    }
}

/// Deeper texts are refused by the parser.
const MAX_DEPTH: usize = 128;

struct Scanner {
    rest: Vec<char>,
    next: usize,
    at: Position,
    found: HashMap<String, Position>,
}

impl Scanner {
    fn value(&mut self, path: &str, depth: usize) {
        self.skip_space();
        let at = self.at;
        self.found.entry(path.to_owned()).or_insert(at);
        match self.peek() {
            Some('{') if depth < MAX_DEPTH => self.object(path, depth),
            Some('[') if depth < MAX_DEPTH => self.array(path, depth),
            Some('"') => {
                self.string();
            }
            _ => while self.peek().is_some_and(|c| !",]} \t\r\n".contains(c)) && self.take() {},
        }
    }

    fn object(&mut self, path: &str, depth: usize) {
        self.take();
        loop {
            self.skip_space();
            if self.peek() != Some('"') {
                break;
            }
            let at = self.at;
            let name = self.string();
            let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            self.found.insert(inner.clone(), at);
            // The form for objects with names that the user chooses.
            self.found.insert(format!("{path}[\"{name}\"]"), at);
            self.skip_space();
            self.take();
            self.value(&inner, depth + 1);
            self.skip_space();
            if self.peek() != Some(',') {
                break;
            }
            self.take();
        }
        self.take();
    }

    fn array(&mut self, path: &str, depth: usize) {
        self.take();
        for index in 0.. {
            self.skip_space();
            if matches!(self.peek(), None | Some(']')) {
                break;
            }
            self.value(&format!("{path}[{index}]"), depth + 1);
            self.skip_space();
            if self.peek() != Some(',') {
                break;
            }
            self.take();
        }
        self.take();
    }

    /// The text of a string, with its escapes as they are.
    fn string(&mut self) -> String {
        self.take();
        let mut text = String::new();
        while let Some(c) = self.peek() {
            self.take();
            match c {
                '"' => break,
                '\\' => {
                    text.push(c);
                    text.extend(self.peek());
                    self.take();
                }
                c => text.push(c),
            }
        }
        text
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(|c| c.is_ascii_whitespace()) {
            self.take();
        }
    }

    fn peek(&self) -> Option<char> {
        self.rest.get(self.next).copied()
    }

    /// Goes on by one character; false at the end.
    fn take(&mut self) -> bool {
        let Some(c) = self.peek() else { return false };
        self.next += 1;
        if c == '\n' {
            self.at = Position { line: self.at.line + 1, column: 1 };
        } else {
            self.at.column += 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_its_place() {
        let text = "{ \"a\": 1,\n  \"é\": [ {\"x\\\"\": \"]\"},\n    [ ], null ],\n  \"b\": {} }";
        let positions = Positions::of(text);
        let at = |path| positions.of_path(path).unwrap().to_string();
        let places = ["", "a", "é", "é[0]", "é[1]", "é[2]", "b", "é[0].x\\\""].map(at);
        assert_eq!(places.join(" "), "1:1 1:3 2:3 2:10 3:5 3:10 4:3 2:11");
        assert_eq!((at("b.missing"), at("missing")), ("4:3".to_owned(), "1:1".to_owned()));
        assert_eq!(at("[\"b\"]"), "4:3");
    }

    #[test]
    fn other_texts_do_no_harm() {
        for text in ["", "{", "[1,", "{\"a\"", "{\"a\":", "\"\\", "]", &"[".repeat(1000)] {
            Positions::of(text);
        }
    }
}
