//! The values of parameters, and the combinations of them that run.

use anyhow::{Result, bail};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use std::collections::HashSet;

/// The most runs of a sweep: more than a cluster works off in a day, and a list that is still one page.
pub const MAX_RUNS: usize = 1000;

/// `NAME=VALUES`
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    pub name: String,
    values: Values,
}

#[derive(Clone, Debug, PartialEq)]
enum Values {
    List(Vec<String>),
    /// Any number between these.
    Between {
        from: f64,
        to: f64,
        log: bool,
    },
}

/// The values of one run, in the order of the parameters.
pub type Combination = Vec<(String, String)>;

/// Parses `lr=0.1,0.01`, `layers=1:4`, `dropout=0:0.5:0.1`, `lr=0.0001:0.1` and `lr=0.0001:0.1:log`.
///
/// # Errors
/// Says what a parameter looks like.
pub fn parameter(text: &str) -> Result<Parameter, String> {
    let Some((name, values)) = text.split_once('=') else {
        return Err("give NAME=VALUES, such as lr=0.1,0.01 or layers=1:4".to_owned());
    };
    let is_name = |name: &str| {
        let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        starts && name.len() <= 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    if !is_name(name) {
        return Err(format!(
            "{name:?} cannot be part of the name of a variable: use letters, digits and underscores"
        ));
    }
    Ok(Parameter { name: name.to_owned(), values: parsed(values)? })
}

fn parsed(text: &str) -> Result<Values, String> {
    if !text.contains(',')
        && let Some(range) = range(text)
    {
        return range;
    }
    let values: Vec<String> = text.split(',').map(str::to_owned).collect();
    if values.iter().any(String::is_empty) {
        return Err("a value is empty".to_owned());
    }
    Ok(Values::List(values))
}

/// `None` if the text is no range of numbers, such as a URL.
fn range(text: &str) -> Option<Result<Values, String>> {
    let parts: Vec<&str> = text.split(':').collect();
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
    let (from, to) = (number(parts.first()?)?, number(parts.get(1)?)?);
    if from >= to {
        return Some(Err(format!("{from} is not less than {to}")));
    }
    let is_whole = |text: &str| text.parse::<i64>().is_ok();
    match parts.as_slice() {
        [one, other] if is_whole(one) && is_whole(other) => Some(steps(from, to, 1.0)),
        [_, _] => Some(Ok(Values::Between { from, to, log: false })),
        [_, _, "log"] if from <= 0.0 => {
            Some(Err("a logarithmic range begins above zero".to_owned()))
        }
        [_, _, "log"] => Some(Ok(Values::Between { from, to, log: true })),
        [_, _, step] => Some(match number(step) {
            Some(step) if step > 0.0 => steps(from, to, step),
            _ => Err(format!("{step:?} is neither a step above zero nor `log`")),
        }),
        _ => None,
    }
}

fn steps(from: f64, to: f64, step: f64) -> Result<Values, String> {
    // Rounding must not lose the last value.
    let count = ((to - from) / step + 1e-9).floor();
    if count >= MAX_RUNS as f64 {
        return Err(format!("{count} values are too many; at most {MAX_RUNS} runs are submitted"));
    }
    let value = |index: u32| shortest(from + f64::from(index) * step, 12);
    Ok(Values::List((0..=count as u32).map(value).collect()))
}

/// The number with so many significant digits, and no more digits than it needs.
fn shortest(number: f64, digits: usize) -> String {
    let rounded: f64 = format!("{number:.*e}", digits - 1).parse().unwrap_or(number);
    rounded.to_string()
}

/// Every combination, the last parameter changing first.
///
/// # Errors
/// When there are too many, or a parameter has any number of values.
pub fn grid(parameters: &[Parameter]) -> Result<Vec<Combination>> {
    let mut combinations: Vec<Combination> = vec![Vec::new()];
    for Parameter { name, values } in parameters {
        let Values::List(values) = values else {
            bail!(
                "parameter {name} is a range without a step; give a step, as in {name}=0:1:0.1, or --random COUNT"
            );
        };
        if combinations.len() * values.len() > MAX_RUNS {
            bail!(
                "these are more than {MAX_RUNS} runs; give fewer values, or a number of random ones with --random COUNT"
            );
        }
        let extended = |combination: &Combination| {
            let combination = combination.clone();
            values.iter().map(move |value| {
                let mut extended = combination.clone();
                extended.push((name.clone(), value.clone()));
                extended
            })
        };
        combinations = combinations.iter().flat_map(extended).collect();
    }
    Ok(combinations)
}

/// Random combinations, each once. They are fewer than asked for if there are no more.
pub fn random(parameters: &[Parameter], count: usize, seed: u64) -> Vec<Combination> {
    /// Beyond so many repetitions in a row there is hardly another combination.
    const PATIENCE: usize = 10_000;
    let mut rng = StdRng::seed_from_u64(seed);
    let mut seen: HashSet<Combination> = HashSet::new();
    let mut combinations = Vec::new();
    let mut repetitions = 0;
    while combinations.len() < count && repetitions < PATIENCE {
        let combination: Combination = parameters
            .iter()
            .map(|parameter| (parameter.name.clone(), parameter.values.sample(&mut rng)))
            .collect();
        match seen.insert(combination.clone()) {
            true => {
                combinations.push(combination);
                repetitions = 0;
            }
            false => repetitions += 1,
        }
    }
    combinations
}

impl Values {
    fn sample(&self, rng: &mut StdRng) -> String {
        match self {
            Self::List(values) => values.choose(rng).cloned().unwrap_or_default(),
            Self::Between { from, to, log: false } => shortest(rng.random_range(*from..*to), 4),
            Self::Between { from, to, log: true } => {
                shortest(rng.random_range(from.ln()..to.ln()).exp(), 4)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> String {
        match parameter(text) {
            Ok(Parameter { values: Values::List(values), .. }) => values.join(" "),
            Ok(Parameter { values: Values::Between { from, to, log }, .. }) => {
                format!("between {from} and {to}{}", if log { " log" } else { "" })
            }
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn values_are_lists_or_ranges() {
        for (text, expected) in [
            ("lr=0.1,0.01", "0.1 0.01"),
            ("name=resnet", "resnet"),
            ("layers=1:4", "1 2 3 4"),
            ("layers=-1:1", "-1 0 1"),
            ("units=32:128:32", "32 64 96 128"),
            ("dropout=0:0.5:0.1", "0 0.1 0.2 0.3 0.4 0.5"),
            ("lr=0.0001:0.1", "between 0.0001 and 0.1"),
            ("lr=1e-4:1e-1:log", "between 0.0001 and 0.1 log"),
            ("data=http://host:80/x", "http://host:80/x"),
            ("time=1:2:3:4", "1:2:3:4"),
            ("flags=a=b,c", "a=b c"),
        ] {
            assert_eq!(values(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_parameter_is_refused_with_the_reason() {
        for (text, expected) in [
            ("lr", "give NAME=VALUES"),
            ("=1", "cannot be part"),
            ("learning-rate=1", "cannot be part"),
            ("lr=", "empty"),
            ("lr=1,,2", "empty"),
            ("n=4:1", "not less"),
            ("n=1:1", "not less"),
            ("lr=0:1:log", "above zero"),
            ("n=1:9:0", "neither a step"),
            ("n=1:9:x", "neither a step"),
            ("n=1:2000", "too many"),
        ] {
            let error = parameter(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    fn parameters(texts: &[&str]) -> Vec<Parameter> {
        texts.iter().map(|text| parameter(text).unwrap()).collect()
    }

    fn shown(combinations: &[Combination]) -> Vec<String> {
        let one = |(name, value): &(String, String)| format!("{name}={value}");
        combinations.iter().map(|it| it.iter().map(one).collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn a_grid_has_every_combination() {
        let grid = grid(&parameters(&["a=1,2", "b=x,y"])).unwrap();
        assert_eq!(shown(&grid), ["a=1 b=x", "a=1 b=y", "a=2 b=x", "a=2 b=y"]);
    }

    #[test]
    fn a_grid_has_an_end() {
        let error = grid(&parameters(&["a=1:100", "b=1:100"])).unwrap_err().to_string();
        assert!(error.contains("more than 1000 runs"), "{error}");
        let error = grid(&parameters(&["a=0.5:1.5"])).unwrap_err().to_string();
        assert!(error.contains("a=0:1:0.1"), "{error}");
    }

    #[test]
    fn random_combinations_depend_on_the_seed_only_and_differ() {
        let space = parameters(&["lr=0.0001:0.1:log", "layers=1:4", "drop=0.1:0.5"]);
        let sample = random(&space, 50, 7);
        assert_eq!(sample, random(&space, 50, 7));
        assert_ne!(sample, random(&space, 50, 8));
        assert_eq!(sample.iter().collect::<HashSet<_>>().len(), 50);
        let rates: Vec<f64> = sample.iter().map(|it| it[0].1.parse().unwrap()).collect();
        assert!(rates.iter().all(|rate| (0.0001..=0.1).contains(rate)));
        let small = rates.iter().filter(|rate| **rate < 0.003).count();
        assert!((10..40).contains(&small), "about half is below the geometric mean: {small}");
    }

    #[test]
    fn a_small_space_gives_all_it_has() {
        assert_eq!(random(&parameters(&["a=1,2", "b=1:3"]), 50, 1).len(), 6);
    }
}
