//! `packetboat model …`: which model's files are there, whether they are whole, and whether the model generates.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Subcommand;
use serde::Serialize;

use super::Context;
use super::error::CliError;
use super::table::Table;
use crate::clock::SystemClock;
use crate::inference::config::{Device, ModelBackend, ModelConfig};
use crate::inference::layout::{Layout, inspect};
use crate::inference::load_error::LoadError;
use crate::inference::{checksums, runtime, verify};

/// The model's files.
#[derive(Debug, Subcommand)]
pub enum ModelCommand {
    /// The model that answers, and the bundled one
    List,
    /// Check a model from its files to its first token: layout, completeness, checksums, template
    Verify {
        /// A model's folder or graph [default: the configured model]
        path: Option<PathBuf>,
    },
}

/// One model on this machine.
#[derive(Debug, Serialize)]
struct Found {
    name: String,
    in_use: bool,
    state: String,
    path: Option<PathBuf>,
    bytes: u64,
}

/// What can be seen without loading it.
#[derive(Debug, Serialize)]
pub struct Checked {
    /// The graph that would be loaded.
    pub graph: PathBuf,
    /// `genai` or `optimum`.
    pub layout: &'static str,
    /// Files that match `SHA256SUMS`; `None` when the folder has no such list.
    pub checksums: Option<usize>,
    /// In tokens, as far as its files say.
    pub context_window: Option<u32>,
}

impl ModelCommand {
    /// Does it.
    pub fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::List => {
                let models = models(&context.load()?.config.model);
                context.out.show(&models, |models| table(models))
            }
            Self::Verify { path } => verify_files(context, path),
        }
    }
}

/// The folder (or graph) that the configuration means.
pub fn configured_path(model: &ModelConfig) -> Result<PathBuf, LoadError> {
    model.path.clone().map_or_else(runtime::bundled_model_dir, Ok)
}

/// Everything that can be said of a model without loading it.
pub fn check(path: &Path, device: Device) -> Result<Checked, LoadError> {
    let files = inspect(path, device)?;
    let checksums = checksums::verify(&files.folder)?;
    let layout = match files.layout {
        Layout::Genai => "onnxruntime-genai",
        Layout::Optimum => "optimum",
    };
    Ok(Checked { graph: files.graph, layout, checksums, context_window: files.settings.context_window })
}

fn verify_files(context: &Context, path: Option<PathBuf>) -> Result<(), CliError> {
    let (path, library) = match path {
        Some(path) => (path, None),
        None => {
            let model = context.load()?.config.model;
            if model.backend != ModelBackend::Onnx {
                let hint = "name a model's folder to check that one";
                return Err(CliError::new("the configured model has no files on this machine", hint));
            }
            (configured_path(&model).map_err(failed)?, model.runtime)
        }
    };
    let findings = verify::verify(&path, library.as_deref(), Arc::new(SystemClock));
    context.out.show(&findings, |findings| findings.iter().map(line).collect())?;
    if verify::all_ok(&findings) {
        return Ok(());
    }
    Err(CliError::new(format!("{} has faults", path.display()), "do what is said beside each"))
}

fn line(finding: &verify::Finding) -> String {
    match &finding.next {
        None => format!("ok    {}\n", finding.what),
        Some(next) => format!("fail  {}\n      {next}\n", finding.what),
    }
}

/// In one sentence.
pub fn describe(checked: &Checked) -> String {
    let sums = match checked.checksums {
        Some(count) => format!("{count} files match their checksums"),
        None => "it has no SHA256SUMS to check against".to_owned(),
    };
    format!("{} ({} layout) is complete; {sums}", checked.graph.display(), checked.layout)
}

fn failed(error: LoadError) -> CliError {
    CliError::new(error.what(), error.next())
}

fn models(model: &ModelConfig) -> Vec<Found> {
    let onnx = model.backend == ModelBackend::Onnx;
    let mut found = Vec::new();
    match model.backend {
        ModelBackend::Onnx => {}
        ModelBackend::Openai | ModelBackend::Echo => found.push(Found {
            name: model.name.clone().unwrap_or_else(|| "echo".to_owned()),
            in_use: true,
            state: model.base_url.clone().map_or_else(|| "repeats".to_owned(), |url| format!("at {url}")),
            path: None,
            bytes: 0,
        }),
    }
    if let Some(path) = &model.path {
        found.push(on_disk(model.name.clone(), path, onnx, model.device));
    }
    let (name, in_use) = ("bundled".to_owned(), onnx && model.path.is_none());
    found.push(match runtime::bundled_model_dir() {
        Ok(path) => on_disk(Some(name), &path, in_use, model.device),
        Err(error) => Found { name, in_use, state: error.what().to_owned(), path: None, bytes: 0 },
    });
    found
}

fn on_disk(name: Option<String>, path: &Path, in_use: bool, device: Device) -> Found {
    let folder_name = || path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let state = inspect(path, device).map_or_else(|error| error.what().to_owned(), |_| "complete".to_owned());
    Found { name: name.unwrap_or_else(folder_name), in_use, state, path: Some(path.to_owned()), bytes: size(path) }
}

fn size(path: &Path) -> u64 {
    if path.is_file() {
        return path.metadata().map_or(0, |metadata| metadata.len());
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
    // links are not followed: a folder that links to itself has no size
    entries
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => size(&entry.path()),
            Ok(kind) if kind.is_file() => entry.metadata().map_or(0, |metadata| metadata.len()),
            Ok(_) | Err(_) => 0,
        })
        .sum()
}

fn table(models: &[Found]) -> String {
    let mut table = Table::new(["MODEL", "IN USE", "MIB", "STATE", "PATH"]).numbers(&[2]);
    for model in models {
        table.row([
            model.name.clone(),
            if model.in_use { "yes" } else { "" }.to_owned(),
            format!("{:.1}", model.bytes as f64 / (1024.0 * 1024.0)),
            model.state.clone(),
            model.path.as_ref().map_or_else(String::new, |path| path.display().to_string()),
        ]);
    }
    table.render()
}
