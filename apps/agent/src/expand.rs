//! Variables inside paths and values: `$NAME` and `${NAME}`, and nothing else of a shell.

/// Replaces what `value_of` knows, and leaves every other character as it is. A name it does not
/// know stays in the text, dollar sign included.
pub fn known(text: &str, value_of: impl Fn(&str) -> Option<String>) -> String {
    replace(text, |name, original| value_of(name).unwrap_or_else(|| original.to_owned()))
}

/// Replaces every variable as a shell would: a name that `value_of` does not know becomes nothing.
/// (Published recipes rely on it: they pass `$AZ_BATCHAI_INPUT_DATASET` without declaring it.)
pub fn all(text: &str, value_of: impl Fn(&str) -> Option<String>) -> String {
    replace(text, |name, _| value_of(name).unwrap_or_default())
}

fn replace(text: &str, value: impl Fn(&str, &str) -> String) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(position) = rest.find('$') {
        result.push_str(&rest[..position]);
        rest = &rest[position..];
        match reference(rest) {
            Some((name, length)) => {
                result.push_str(&value(name, &rest[..length]));
                rest = &rest[length..];
            }
            None => {
                result.push('$');
                rest = &rest[1..];
            }
        }
    }
    result.push_str(rest);
    result
}

/// The name at the start of `text`, which begins with a dollar sign, and the length of the reference.
fn reference(text: &str) -> Option<(&str, usize)> {
    let after = &text[1..];
    if let Some(inner) = after.strip_prefix('{') {
        let name = &inner[..inner.find('}')?];
        return (name_length(name) == name.len() && !name.is_empty())
            .then_some((name, name.len() + 3));
    }
    match name_length(after) {
        0 => None,
        length => Some((&after[..length], length + 1)),
    }
}

fn name_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    if bytes.first().is_some_and(u8::is_ascii_digit) {
        return 0;
    }
    bytes.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(name: &str) -> Option<String> {
        (name == "AZ_ROOT").then(|| "/mnt/$HOME".to_owned())
    }

    #[test]
    fn both_forms_are_replaced_once() {
        assert_eq!(all("$AZ_ROOT/a", root), "/mnt/$HOME/a");
        assert_eq!(all("${AZ_ROOT}a-$AZ_ROOT", root), "/mnt/$HOMEa-/mnt/$HOME");
        assert_eq!(all("x$AZ_ROOT_2/$NONE/y", root), "x//y");
    }

    #[test]
    fn only_known_names_are_touched_in_values() {
        assert_eq!(known("$AZ_ROOT:$PATH:${HOME}", root), "/mnt/$HOME:$PATH:${HOME}");
    }

    #[test]
    fn what_is_no_variable_stays() {
        for text in ["", "$", "a$", "$$", "$1", "${", "${}", "${a b}", "$(date)", "100%", "é$-"] {
            assert_eq!(all(text, root), text);
        }
    }
}
