//! The name of a resource on the command line: as an argument, or with `-n` as for the Azure CLI.

use crate::names::{group_name, resource_name};
use clap::builder::ValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgGroup, ArgMatches, Args, Command, Error, FromArgMatches};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

const ARGUMENT: &str = "resource_name";
const OPTION: &str = "resource_name_option";
const EITHER: &str = "resource_name_given";

/// What a name may be, and what it names.
pub trait Rule: Send + Sync + Clone + 'static {
    const HELP: &str;

    /// Parses the name, with the rules of the API.
    fn parser() -> ValueParser;
}

/// A required name that follows the rule `R`.
#[derive(Clone, Debug)]
pub struct NameArgument<R>(String, PhantomData<R>);

/// The name of a workspace, cluster, file server, experiment or job.
pub type ResourceName = NameArgument<OfResource>;

/// The name of a resource group.
pub type GroupName = NameArgument<OfGroup>;

#[derive(Clone, Debug)]
pub struct OfResource;

#[derive(Clone, Debug)]
pub struct OfGroup;

impl Rule for OfResource {
    const HELP: &str = "Name of the resource";

    fn parser() -> ValueParser {
        ValueParser::new(resource_name)
    }
}

impl Rule for OfGroup {
    const HELP: &str = "Name of the resource group";

    fn parser() -> ValueParser {
        ValueParser::new(group_name)
    }
}

impl<R: Rule> Args for NameArgument<R> {
    fn augment_args(command: Command) -> Command {
        command
            .arg(Arg::new(ARGUMENT).value_name("NAME").help(R::HELP).value_parser(R::parser()))
            .arg(
                Arg::new(OPTION)
                    .short('n')
                    .long("name")
                    .value_name("NAME")
                    .help("The same as an option, as in the Azure CLI")
                    .value_parser(R::parser()),
            )
            .group(ArgGroup::new(EITHER).args([ARGUMENT, OPTION]).required(true))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<R: Rule> FromArgMatches for NameArgument<R> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let given = |id| matches.get_one::<String>(id).cloned();
        let name = given(ARGUMENT).or_else(|| given(OPTION)).ok_or_else(|| {
            let mut error = Error::new(ErrorKind::MissingRequiredArgument);
            let missing = ContextValue::Strings(vec!["<NAME>".to_owned()]);
            error.insert(ContextKind::InvalidArg, missing);
            error
        })?;
        Ok(Self(name, PhantomData))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<R> Deref for NameArgument<R> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<R> fmt::Display for NameArgument<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        name: ResourceName,
        #[arg(short, long)]
        yes: bool,
    }

    fn name(line: &str) -> Result<String, ErrorKind> {
        let line = Line::try_parse_from(line.split(' ')).map_err(|error| error.kind())?;
        assert!(line.yes);
        Ok(line.name.to_string())
    }

    #[test]
    fn a_name_is_an_argument_or_an_option() {
        for line in ["show one --yes", "show -n one --yes", "show --yes --name=one"] {
            assert_eq!(name(line), Ok("one".to_owned()), "{line}");
        }
    }

    #[test]
    fn a_name_is_given_once_and_follows_the_rules() {
        assert_eq!(name("show --yes"), Err(ErrorKind::MissingRequiredArgument));
        assert_eq!(name("show one -n one --yes"), Err(ErrorKind::ArgumentConflict));
        assert_eq!(name("show a/b --yes"), Err(ErrorKind::ValueValidation));
        assert_eq!(name("show -n a/b --yes"), Err(ErrorKind::ValueValidation));
    }
}
