//! Which files of a model's folder to load, in the layouts that people download.
//!
//! - **onnxruntime-genai**: `genai_config.json` names the graph (`model.decoder.filename`), the window and the ends.
//! - **Optimum / transformers.js**: `model*.onnx` in the folder or under `onnx/`, with `config.json` and
//!   `generation_config.json`. Of several graphs the one that fits the device is taken, in the order of [`CPU_ORDER`] and
//!   [`CUDA_ORDER`]; naming the file itself in `[model] path` overrides that.
//!
//! Invariants: everything that can be refused before ONNX Runtime sees a file is refused here; every error names the
//! file and the next step. Not here: what the graph's inputs are (`graph.rs`).

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Recommended;
use super::config::Device;
use super::external_data::{WalkError, external_parts};
use super::files;
use super::load_error::LoadError;

/// On a processor: 4-bit weights read least memory and don't let requests influence each other; then exact weights; then
/// the ones that are quantised per tensor, and half floats, which processors are slow at.
pub const CPU_ORDER: [&str; 8] =
    ["model_q4", "model", "model_quantized", "model_int8", "model_uint8", "model_q4f16", "model_fp16", "model_bnb4"];
/// On a graphics card: half floats first.
pub const CUDA_ORDER: [&str; 8] =
    ["model_q4f16", "model_fp16", "model_q4", "model", "model_bnb4", "model_quantized", "model_int8", "model_uint8"];

/// Where a model comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Built by onnxruntime-genai.
    Genai,
    /// Exported by Optimum, or published for transformers.js.
    Optimum,
}

/// What was found in a folder.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFiles {
    /// Which layout.
    pub layout: Layout,
    /// The model's folder.
    pub folder: PathBuf,
    /// The graph.
    pub graph: PathBuf,
    /// `tokenizer.json`.
    pub tokenizer: PathBuf,
    /// What the configuration files say.
    pub settings: ModelSettings,
}

/// What a model's configuration files say, as far as it is needed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelSettings {
    /// Prompt and answer together, in tokens.
    pub context_window: Option<u32>,
    /// Tokens that end the answer.
    pub eos_ids: Vec<u32>,
    /// How its makers want tokens to be chosen.
    pub recommended: Recommended,
    /// Heads of the cache, where the graph does not say.
    pub kv_heads: Option<i64>,
    /// Their size, where the graph does not say.
    pub head_dim: Option<i64>,
}

/// Decides which files of `path` (a folder, or a graph's file) to load, and checks them.
pub fn inspect(path: &Path, device: Device) -> Result<ModelFiles, LoadError> {
    if !path.exists() {
        return Err(LoadError::files(
            format!("{} does not exist", path.display()),
            "set [model] path to the folder that holds the model's files",
        ));
    }
    let (folder, named) = if path.is_file() { (home_of(path), Some(path.to_owned())) } else { (path.to_owned(), None) };
    let genai = folder.join("genai_config.json");
    let files = if genai.exists() { from_genai(folder, named, &genai)? } else { from_optimum(folder, named, device)? };
    check_graph(&files.graph)?;
    files::open(&files.tokenizer)?;
    Ok(files)
}

/// The folder that holds the tokenizer: the graph's own, or the one above `onnx/`.
fn home_of(graph: &Path) -> PathBuf {
    let parent = graph.parent().unwrap_or(Path::new("."));
    let above = parent.parent().filter(|_| parent.file_name().is_some_and(|name| name == "onnx"));
    above.unwrap_or(parent).to_owned()
}

fn from_genai(folder: PathBuf, named: Option<PathBuf>, path: &Path) -> Result<ModelFiles, LoadError> {
    let config = files::json(path)?;
    let model = &config["model"];
    let decoder = &model["decoder"];
    if model.get("encoder").is_some() || decoder.get("pipeline").is_some() {
        return Err(LoadError::files(
            format!("{} describes an encoder-decoder or a pipeline of several graphs", path.display()),
            "use a decoder-only model in one graph",
        ));
    }
    let graph = match (named, decoder["filename"].as_str()) {
        (Some(named), _) => named,
        (None, Some(name)) => files::inside(&folder, name, path)?,
        (None, None) => folder.join("model.onnx"),
    };
    let mut settings = settings_of(&folder)?;
    settings.context_window = number(&model["context_length"]).or(settings.context_window);
    add_ids(&mut settings.eos_ids, &model["eos_token_id"]);
    settings.kv_heads = decoder["num_key_value_heads"].as_i64().or(settings.kv_heads);
    settings.head_dim = decoder["head_size"].as_i64().or(settings.head_dim);
    Ok(ModelFiles { layout: Layout::Genai, tokenizer: folder.join("tokenizer.json"), folder, graph, settings })
}

fn from_optimum(folder: PathBuf, named: Option<PathBuf>, device: Device) -> Result<ModelFiles, LoadError> {
    let settings = settings_of(&folder)?;
    let graph = match named {
        Some(named) => named,
        None => preferred_graph(&folder, device)?,
    };
    Ok(ModelFiles { layout: Layout::Optimum, tokenizer: folder.join("tokenizer.json"), folder, graph, settings })
}

fn preferred_graph(folder: &Path, device: Device) -> Result<PathBuf, LoadError> {
    let order = if device == Device::Cuda { CUDA_ORDER } else { CPU_ORDER };
    let places = [folder.to_owned(), folder.join("onnx")];
    let all = order.iter().flat_map(|stem| places.iter().map(move |place| place.join(format!("{stem}.onnx"))));
    if let Some(found) = all.into_iter().find(|path| path.exists()) {
        return Ok(found);
    }
    let other = |name: &str| places.iter().any(|place| place.join(name).exists());
    if ["encoder_model.onnx", "decoder_model.onnx", "decoder_model_merged.onnx"].iter().any(|name| other(name)) {
        return Err(LoadError::files(
            format!("{} holds a split or merged export (encoder_model, decoder_model …)", folder.display()),
            "use a decoder-only model; export it with: optimum-cli export onnx --task text-generation-with-past",
        ));
    }
    Err(LoadError::files(
        format!("{} holds neither genai_config.json nor model*.onnx (nor onnx/model*.onnx)", folder.display()),
        "set [model] path to the folder that holds the model's files, or download the model again",
    ))
}

/// `do_sample: false` means the likeliest token, whatever else the file says.
fn recommended(generation: &Value) -> Recommended {
    let number = |key: &str| generation[key].as_f64().map(|number| number as f32);
    let greedy = generation["do_sample"].as_bool() == Some(false);
    Recommended {
        temperature: if greedy { Some(0.0) } else { number("temperature") },
        top_p: number("top_p"),
        top_k: generation["top_k"].as_u64().and_then(|number| u32::try_from(number).ok()),
    }
}

/// From `config.json` and `generation_config.json`, where they are.
fn settings_of(folder: &Path) -> Result<ModelSettings, LoadError> {
    let mut settings = ModelSettings::default();
    let path = folder.join("config.json");
    if let Some(config) = files::optional_json(&path)? {
        if config["is_encoder_decoder"].as_bool() == Some(true) {
            return Err(LoadError::files(
                format!("{} says is_encoder_decoder: it translates, it does not chat", path.display()),
                "use a decoder-only model",
            ));
        }
        // a model that also sees keeps the numbers of its language part one level down
        let inner = config.get("text_config").filter(|inner| inner.is_object()).unwrap_or(&config);
        let field = |name: &str| inner.get(name).or_else(|| config.get(name)).unwrap_or(&Value::Null);
        settings.context_window = number(field("max_position_embeddings")).or_else(|| number(field("n_positions")));
        let heads = field("num_attention_heads").as_i64().or(field("n_head").as_i64());
        let width = field("hidden_size").as_i64().or(field("n_embd").as_i64());
        settings.kv_heads = field("num_key_value_heads").as_i64().or(heads);
        let per_head = width.zip(heads).and_then(|(width, heads)| width.checked_div(heads));
        settings.head_dim = field("head_dim").as_i64().or(per_head);
        add_ids(&mut settings.eos_ids, field("eos_token_id"));
    }
    if let Some(generation) = files::optional_json(&folder.join("generation_config.json"))? {
        add_ids(&mut settings.eos_ids, &generation["eos_token_id"]);
        settings.recommended = recommended(&generation);
    }
    Ok(settings)
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().filter(|number| *number > 0).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
}

/// A number, or a list of numbers.
fn add_ids(ids: &mut Vec<u32>, value: &Value) {
    let listed = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    for id in listed.iter().filter_map(Value::as_u64).filter_map(|id| u32::try_from(id).ok()) {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
}

/// Walks the graph's file, and refuses weights that lie outside the folder or are not all there.
fn check_graph(graph: &Path) -> Result<(), LoadError> {
    let again = "download that file again and replace it";
    let (file, length) = files::open(graph)?;
    let parts = external_parts(file, length).map_err(|error| {
        let next = match error {
            WalkError::NotOnnx => "name an ONNX model's folder in [model] path, or download that file again",
            WalkError::Truncated | WalkError::Io(_) => again,
        };
        LoadError::files(format!("{} {error}", graph.display()), next)
    })?;
    let folder = graph.parent().unwrap_or(Path::new("."));
    for part in parts {
        let path = files::inside(folder, &part.location, graph)?;
        let (_, length) = files::open(&path)?;
        let needed = part.offset.saturating_add(part.length.unwrap_or(0));
        if length < needed {
            let what = format!("{} is cut off: it has {length} bytes, the model needs {needed}", path.display());
            return Err(LoadError::files(what, again));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A model with an empty graph: enough to be walked.
    const EMPTY_MODEL: [u8; 4] = [0x08, 0x0A, 0x3A, 0x00];

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        for name in names {
            let path = home.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, EMPTY_MODEL).unwrap();
        }
        home
    }

    fn write(home: &tempfile::TempDir, name: &str, text: &str) {
        std::fs::write(home.path().join(name), text).unwrap();
    }

    fn chosen(home: &tempfile::TempDir, device: Device) -> String {
        let files = inspect(home.path(), device).unwrap();
        files.graph.strip_prefix(home.path()).unwrap().to_string_lossy().into_owned()
    }

    fn refusal(home: &tempfile::TempDir) -> String {
        inspect(home.path(), Device::Cpu).unwrap_err().to_string()
    }

    #[test]
    fn the_graph_that_fits_the_device_is_preferred() {
        let home = folder(&[
            "tokenizer.json",
            "onnx/model.onnx",
            "onnx/model_q4.onnx",
            "onnx/model_q4f16.onnx",
            "onnx/model_int8.onnx",
        ]);
        assert_eq!(chosen(&home, Device::Cpu), "onnx/model_q4.onnx");
        assert_eq!(chosen(&home, Device::Cuda), "onnx/model_q4f16.onnx");
    }

    #[test]
    fn a_named_graph_overrides_the_preference_and_finds_the_tokenizer_above() {
        let home = folder(&["tokenizer.json", "onnx/model.onnx", "onnx/model_q4.onnx"]);
        let files = inspect(&home.path().join("onnx/model.onnx"), Device::Cpu).unwrap();
        assert_eq!(files.folder, home.path());
        assert_eq!(files.graph, home.path().join("onnx/model.onnx"));
    }

    #[test]
    fn the_configuration_of_an_optimum_folder_is_read() {
        let home = folder(&["tokenizer.json", "model.onnx"]);
        write(
            &home,
            "config.json",
            r#"{"max_position_embeddings": 2048, "num_attention_heads": 8, "num_key_value_heads": 2,
                "hidden_size": 64, "eos_token_id": 2}"#,
        );
        write(&home, "generation_config.json", r#"{"eos_token_id": [2, 7], "do_sample": true, "temperature": 0.6, "top_p": 0.95, "top_k": 20}"#);
        let files = inspect(home.path(), Device::Cpu).unwrap();
        assert_eq!(files.layout, Layout::Optimum);
        let expected =
            ModelSettings { context_window: Some(2048), eos_ids: vec![2, 7], kv_heads: Some(2), head_dim: Some(8), recommended: Recommended { temperature: Some(0.6), top_p: Some(0.95), top_k: Some(20) } };
        assert_eq!(files.settings, expected);
    }

    #[test]
    fn the_configuration_of_a_genai_folder_names_the_graph() {
        let home = folder(&["tokenizer.json", "decoder.onnx"]);
        write(
            &home,
            "genai_config.json",
            r#"{"model": {"context_length": 512, "eos_token_id": [3, 4],
                "decoder": {"filename": "decoder.onnx", "head_size": 16, "num_key_value_heads": 2}}}"#,
        );
        let files = inspect(home.path(), Device::Auto).unwrap();
        assert_eq!((files.layout, files.graph), (Layout::Genai, home.path().join("decoder.onnx")));
        assert_eq!((files.settings.context_window, files.settings.eos_ids), (Some(512), vec![3, 4]));
    }

    #[test]
    fn a_graph_named_outside_the_folder_is_refused() {
        let home = folder(&["tokenizer.json"]);
        write(&home, "genai_config.json", r#"{"model": {"decoder": {"filename": "../model.onnx"}}}"#);
        assert!(refusal(&home).contains("genai_config.json"));
    }

    #[test]
    fn what_is_missing_is_named_with_the_next_step() {
        assert!(refusal(&folder(&[])).contains("neither genai_config.json nor model*.onnx"));
        let text = refusal(&folder(&["model.onnx"]));
        assert!(text.contains("tokenizer.json is missing") && text.contains("copy"), "{text}");
        let nowhere = inspect(Path::new("/nonexistent/model"), Device::Cpu).unwrap_err().to_string();
        assert!(nowhere.contains("/nonexistent/model does not exist") && nowhere.contains("[model] path"));
    }

    #[test]
    fn encoder_decoders_and_merged_exports_are_refused() {
        let home = folder(&["tokenizer.json", "encoder_model.onnx", "decoder_model_merged.onnx"]);
        assert!(refusal(&home).contains("merged"));
        let home = folder(&["tokenizer.json", "model.onnx"]);
        write(&home, "config.json", r#"{"is_encoder_decoder": true}"#);
        assert!(refusal(&home).contains("is_encoder_decoder"));
    }

    /// A model whose one tensor lies in `location`, 8 bytes from 4.
    fn external(location: &str) -> Vec<u8> {
        let field = |number: u8, content: &[u8]| [&[number << 3 | 2, content.len() as u8], content].concat();
        let entry =
            |key: &str, value: &str| field(13, &[field(1, key.as_bytes()), field(2, value.as_bytes())].concat());
        let tensor = [entry("location", location), entry("offset", "4"), entry("length", "8")].concat();
        field(7, &field(5, &tensor))
    }

    #[test]
    fn external_weights_must_lie_in_the_folder_and_be_whole() {
        let home = folder(&["tokenizer.json", "onnx/model.onnx"]);
        let put = |location: &str| std::fs::write(home.path().join("onnx/model.onnx"), external(location)).unwrap();
        for location in ["/etc/passwd", "../tokenizer.json"] {
            put(location);
            assert!(refusal(&home).contains("inside the model's folder"));
        }
        put("model.onnx_data");
        assert!(refusal(&home).contains("model.onnx_data is missing"));
        std::fs::write(home.path().join("onnx/model.onnx_data"), [0; 11]).unwrap();
        assert!(refusal(&home).contains("has 11 bytes, the model needs 12"));
        std::fs::write(home.path().join("onnx/model.onnx_data"), [0; 12]).unwrap();
        assert!(inspect(home.path(), Device::Cpu).is_ok());
    }

    #[test]
    fn a_graph_that_is_something_else_is_named() {
        let home = folder(&["tokenizer.json", "model.onnx"]);
        write(&home, "model.onnx", "<html>404</html>");
        assert!(refusal(&home).contains("model.onnx is not an ONNX model"));
        std::fs::write(home.path().join("model.onnx"), [0x3A, 0x7F, 0x00]).unwrap();
        assert!(refusal(&home).contains("model.onnx is cut off"));
    }
}
