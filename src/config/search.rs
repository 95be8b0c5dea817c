//! Which file is the configuration: `--config`, else `$PACKETBOAT_CONFIG`, else the working folder's, else the system's.

use std::path::{Path, PathBuf};

use super::error::ConfigError;

/// Names the file when `--config` does not.
pub const VARIABLE: &str = "PACKETBOAT_CONFIG";

const USUAL: [&str; 2] = ["packetboat.toml", "/etc/packetboat/packetboat.toml"];

/// The file to read. A file that was named is taken even when it does not exist: the error then names it.
pub fn find(named: Option<&Path>) -> Result<PathBuf, ConfigError> {
    let from_environment = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    choose(named, from_environment, &USUAL.map(PathBuf::from))
}

fn choose(named: Option<&Path>, variable: Option<PathBuf>, usual: &[PathBuf]) -> Result<PathBuf, ConfigError> {
    if let Some(path) = named.map(Path::to_owned).or(variable) {
        return Ok(path);
    }
    usual.iter().find(|path| path.exists()).cloned().ok_or_else(|| {
        let places: Vec<String> = usual.iter().map(|path| path.display().to_string()).collect();
        ConfigError::Missing { searched: format!("${VARIABLE}, {}", places.join(", ")) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_file_wins_over_the_variable_and_the_usual_places() {
        let usual = [PathBuf::from("/dev/null")];
        let variable = || Some(PathBuf::from("/variable.toml"));
        let chosen = choose(Some(Path::new("/named.toml")), variable(), &usual).expect("named");
        assert_eq!(chosen, Path::new("/named.toml"));
        assert_eq!(choose(None, variable(), &usual).expect("variable"), Path::new("/variable.toml"));
        assert_eq!(choose(None, None, &usual).expect("usual"), Path::new("/dev/null"));
    }

    #[test]
    fn nothing_found_says_where_it_looked_and_what_to_do() {
        let error = choose(None, None, &[PathBuf::from("/nonexistent/a.toml")]).expect_err("missing").to_string();
        assert!(error.contains("/nonexistent/a.toml") && error.contains("packetboat init"), "{error}");
    }
}
