//! Programs as text for bash.

use protocol::{Program, Python};

/// The interpreter of scripts whose job names none.
const PYTHON: &str = "python";

/// `python script arguments`.
pub fn python(python: &Python, arguments: &str) -> String {
    let interpreter = python.interpreter.as_deref().unwrap_or(PYTHON);
    joined(&[interpreter, &python.script, arguments])
}

/// The Python script, or what `configured` makes of the path of a configuration.
pub fn program(program: &Program, arguments: &str, configured: impl Fn(&str) -> String) -> String {
    match program {
        Program::Python(script) => python(script, arguments),
        Program::Configuration { path } => joined(&[&configured(path), arguments]),
    }
}

fn joined(words: &[&str]) -> String {
    let words: Vec<&str> = words.iter().copied().filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// `text` as one word of bash.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interpreter_is_python_by_default() {
        let script = |interpreter: Option<&str>| Python {
            script: "a.py".to_owned(),
            interpreter: interpreter.map(str::to_owned),
        };
        assert_eq!(python(&script(None), ""), "python a.py");
        assert_eq!(python(&script(Some("/opt/py3")), "--x 1"), "/opt/py3 a.py --x 1");
    }

    #[test]
    fn a_quote_in_a_word_stays() {
        assert_eq!(quoted("echo 'a b' $X"), r"'echo '\''a b'\'' $X'");
    }
}
