//! Why a model could not be loaded: what is wrong, and what to do next.
//!
//! Invariant: every error names the file or setting and the next step; none holds a secret. A variant is the step that
//! failed.

/// A model that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The ONNX Runtime library.
    #[error("no usable ONNX Runtime: {what}; {next}")]
    Runtime {
        /// What is wrong.
        what: String,
        /// What to do.
        next: String,
    },
    /// The files of the model's folder, before anything is loaded.
    #[error("unusable model files: {what}; {next}")]
    Files {
        /// What is wrong.
        what: String,
        /// What to do.
        next: String,
    },
    /// The graph, once ONNX Runtime has it.
    #[error("unusable model: {what}; {next}")]
    Graph {
        /// What is wrong.
        what: String,
        /// What to do.
        next: String,
    },
    /// A setting of `[model]`.
    #[error("unusable [model] settings: {what}; {next}")]
    Settings {
        /// What is wrong.
        what: String,
        /// What to do.
        next: String,
    },
}

impl LoadError {
    pub(crate) fn runtime(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::Runtime { what: what.into(), next: next.into() }
    }

    pub(crate) fn files(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::Files { what: what.into(), next: next.into() }
    }

    pub(crate) fn graph(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::Graph { what: what.into(), next: next.into() }
    }

    pub(crate) fn settings(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::Settings { what: what.into(), next: next.into() }
    }

    /// What is wrong.
    pub fn what(&self) -> &str {
        match self {
            Self::Runtime { what, .. }
            | Self::Files { what, .. }
            | Self::Graph { what, .. }
            | Self::Settings { what, .. } => what,
        }
    }

    /// What to do next.
    pub fn next(&self) -> &str {
        match self {
            Self::Runtime { next, .. }
            | Self::Files { next, .. }
            | Self::Graph { next, .. }
            | Self::Settings { next, .. } => next,
        }
    }
}
