//! The file and the environment's overrides as one TOML document that remembers where each key was set.
//!
//! Invariant: nothing in here repeats a value in an error; the TOML library's own rendering, which quotes the offending
//! line, is never shown (a secret may stand there).

use toml_edit::{DocumentMut, Item, TableLike, Value};

use super::Config;
use super::error::{Place, Problem};
use super::keys;

/// Names start with this; sections and keys are separated by two underscores.
const PREFIX: &str = "PACKETBOAT__";

/// The merged document.
#[derive(Debug)]
pub struct Document {
    original: toml_edit::Document<String>,
    merged: toml_edit::Document<String>,
    overrides: Vec<Override>,
}

#[derive(Debug)]
struct Override {
    variable: String,
    path: Vec<String>,
}

impl Document {
    /// Parses the file's text and lays the overrides among `environment` over it.
    pub fn read(text: &str, environment: &[(String, String)]) -> Result<Self, Vec<Problem>> {
        let original = toml_edit::Document::parse(text.to_owned()).map_err(|error| {
            let place = error.span().map(|span| Place::Line(line_at(text, span.start)));
            let message = format!("not TOML: {}", one_line(error.message()));
            vec![Problem { key: String::new(), place, message, hint: "see config/packetboat.example.toml".to_owned() }]
        })?;
        let mut merged = original.clone().into_mut();
        let mut overrides = Vec::new();
        let mut problems = Vec::new();
        for (variable, value) in environment {
            let Some(rest) = variable.strip_prefix(PREFIX) else { continue };
            let path: Vec<String> = rest.split("__").map(str::to_ascii_lowercase).collect();
            match set(&mut merged, &path, value) {
                Ok(()) => overrides.push(Override { variable: variable.clone(), path }),
                Err(message) => problems.push(Problem {
                    key: path.join("."),
                    place: Some(Place::Variable(variable.clone())),
                    message: message.to_owned(),
                    hint: format!("name it {PREFIX}SECTION__KEY, for example {PREFIX}SERVER__LISTEN"),
                }),
            }
        }
        // read back, so that every key has a span to find it by
        let merged = toml_edit::Document::parse(merged.to_string()).map_err(|error| {
            vec![Problem::at_key("", one_line(error.message()), "check the environment's overrides")]
        })?;
        if problems.is_empty() { Ok(Self { original, merged, overrides }) } else { Err(problems) }
    }

    /// File and overrides together.
    pub fn merged(&self) -> &toml_edit::Table {
        self.merged.as_table()
    }

    /// The typed configuration, not yet checked for rules between keys.
    pub fn config(&self) -> Result<Config, Problem> {
        toml_edit::de::from_str(self.merged.raw()).map_err(|error| {
            let path = error.span().map_or_else(Vec::new, |span| path_at(self.merged(), span.start));
            let key = path.join(".");
            let (message, hint) = keys::explain(&key, one_line(error.message()));
            self.place(Problem { key, place: None, message, hint })
        })
    }

    /// Adds where the problem's key was set: the variable that overrides it, else its line, else its section's.
    pub fn place(&self, mut problem: Problem) -> Problem {
        if problem.place.is_none() {
            let path: Vec<&str> = problem.key.split('.').filter(|part| !part.is_empty()).collect();
            problem.place = self.variable_for(&path).or_else(|| self.line_of(&path).map(Place::Line));
        }
        problem
    }

    fn variable_for(&self, path: &[&str]) -> Option<Place> {
        let sets = |set: &&Override| set.path.len() <= path.len() && set.path.iter().zip(path).all(|(a, b)| a == b);
        self.overrides.iter().find(sets).map(|found| Place::Variable(found.variable.clone()))
    }

    fn line_of(&self, path: &[&str]) -> Option<usize> {
        let mut table: &dyn TableLike = self.original.as_table();
        let mut line = None;
        for part in path {
            let Some((key, item)) = table.get_key_value(part) else { break };
            line = key.span().map(|span| line_at(self.original.raw(), span.start)).or(line);
            match item.as_table_like() {
                Some(inner) => table = inner,
                None => break,
            }
        }
        line
    }
}

fn set(document: &mut DocumentMut, path: &[String], text: &str) -> Result<(), &'static str> {
    let Some((last, parents)) = path.split_last().filter(|(_, parents)| !parents.is_empty()) else {
        return Err("it names no section and key");
    };
    if path.iter().any(String::is_empty) {
        return Err("a part of the name is empty");
    }
    let mut table: &mut dyn TableLike = document.as_table_mut();
    for part in parents {
        let inner = table.entry(part).or_insert_with(toml_edit::table);
        table = inner.as_table_like_mut().ok_or("a part of the name is a key in the file, not a section")?;
    }
    let value = text.parse::<Value>().unwrap_or_else(|_| Value::from(text));
    table.insert(last, Item::Value(value));
    Ok(())
}

/// The dotted path of the innermost key whose key or value holds `offset`.
fn path_at(table: &dyn TableLike, offset: usize) -> Vec<String> {
    for (name, item) in table.iter() {
        let key_holds = table.key(name).and_then(|key| key.span()).is_some_and(|span| span.contains(&offset));
        let mut deeper = item.as_table_like().map_or_else(Vec::new, |inner| path_at(inner, offset));
        let value_holds = item.span().is_some_and(|span| span.contains(&offset));
        if key_holds || value_holds || !deeper.is_empty() {
            deeper.insert(0, name.to_owned());
            return deeper;
        }
    }
    Vec::new()
}

fn line_at(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

fn one_line(message: &str) -> String {
    message.split('\n').map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(", ")
}
