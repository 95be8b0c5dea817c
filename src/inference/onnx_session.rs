//! ONNX Runtime: its library and environment, once per process, and a model's session stepped with its cache.
//!
//! Invariants: the library is always loaded from a file that we chose (`runtime.rs`), never searched for by the loader;
//! one environment per process; a cache's tensors are handed from one run to the next without a copy through us; one
//! thread steps a session. Not here: which tokens are fed when.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use half::{bf16, f16};
pub use ort::environment::Environment;
use ort::ep::{self, ArbitrarilyConfigurableExecutionProvider as _, ExecutionProvider as _};
use ort::logging::LogLevel;
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{IoBinding, Session};
use ort::value::{DynTensor, DynValue, Tensor, TensorElementType, ValueType};

use super::graph::{DecoderGraph, Element, NumberPort, Port};
use super::layout::ModelFiles;
use super::load_error::LoadError;
use super::scheduler::{DecodeError, Decoder};

/// The library that this process runs on, once it has one.
static LOADED: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

/// Loads the library; a second call gives what the first one loaded.
pub fn environment(library: &Path) -> Result<Environment, LoadError> {
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((path, environment)) = loaded.as_ref() {
        if path != library {
            tracing::warn!(
                library.loaded = %path.display(), library.asked = %library.display(),
                "a process can load one ONNX Runtime only; keeping the first"
            );
        }
        return Ok(environment.clone());
    }
    let wrong = |cause: String| {
        LoadError::runtime(
            format!("{} can't be used: {cause}", library.display()),
            "run `make runtime` again, or name a libonnxruntime of version 1.24 or newer with [model] runtime",
        )
    };
    let builder = ort::init_from(library).map_err(|error| wrong(loading_cause(&error)))?;
    let environment = builder
        .with_name("packetboat")
        .with_telemetry(false)
        .with_logger(Arc::new(log))
        .build()
        .map_err(|error| wrong(error.to_string()))?;
    environment.set_log_level(LogLevel::Warning);
    *loaded = Some((library.to_owned(), environment.clone()));
    Ok(environment)
}

/// The loader's own words (which library it misses, say) lie one level down.
fn loading_cause(error: &ort::LoadDynamicError) -> String {
    match error {
        ort::LoadDynamicError::Dlopen { error, .. } => {
            std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
        }
        other => other.to_string(),
    }
}

/// ONNX Runtime's own messages: about graphs and devices, never about what people say.
fn log(level: LogLevel, category: &str, _id: &str, _location: &str, message: &str) {
    match level {
        LogLevel::Error | LogLevel::Fatal => tracing::error!(onnxruntime.category = category, "{message}"),
        LogLevel::Warning => tracing::debug!(onnxruntime.category = category, "{message}"),
        LogLevel::Info | LogLevel::Verbose => tracing::trace!(onnxruntime.category = category, "{message}"),
    }
}

/// Where a session really runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The processor.
    Cpu,
    /// A CUDA card.
    Cuda,
}

/// A model, loaded, with its graph understood.
#[derive(Debug)]
pub struct OrtDecoder {
    session: Session,
    binding: IoBinding,
    graph: DecoderGraph,
    place: Place,
    cache_memory: MemoryInfo<'static>,
    host_memory: MemoryInfo<'static>,
    logits: Vec<f32>,
}

/// Keys and values of every layer, on the device.
#[derive(Debug)]
pub struct KvCache {
    /// In the graph's order.
    values: Vec<DynValue>,
    length: usize,
}

impl OrtDecoder {
    /// Loads the graph on a CUDA card, or says why that does not work.
    pub fn on_cuda(environment: &Environment, files: &ModelFiles) -> Result<Self, String> {
        let mut builder = cuda_builder(environment)?;
        Self::open(&mut builder, files, Place::Cuda).map_err(|error| error.to_string())
    }

    /// Loads the graph on the processor.
    pub fn on_cpu(environment: &Environment, files: &ModelFiles, threads: Option<usize>) -> Result<Self, LoadError> {
        let builder = cpu_builder(environment, threads);
        let mut builder = builder.map_err(|cause| unusable(&files.graph, &cause))?;
        Self::open(&mut builder, files, Place::Cpu)
    }

    fn open(builder: &mut SessionBuilder, files: &ModelFiles, place: Place) -> Result<Self, LoadError> {
        let failed = |error: ort::Error| unusable(&files.graph, &error.to_string());
        let session = builder.commit_from_file(&files.graph).map_err(failed)?;
        let ports = |outlets: &[ort::value::Outlet]| outlets.iter().map(port).collect::<Vec<_>>();
        let graph = DecoderGraph::detect(&ports(session.inputs()), &ports(session.outputs()), &files.settings);
        let graph = graph.map_err(|cause| {
            LoadError::graph(
                format!("{} is no decoder that packetboat can run: {cause}", files.graph.display()),
                "use a decoder-only text model exported with its cache (optimum-cli export onnx --task \
                 text-generation-with-past, or onnxruntime-genai's builder)",
            )
        })?;
        let memory = |device, kind| MemoryInfo::new(device, 0, AllocatorType::Device, kind).map_err(failed);
        let host_memory = memory(AllocationDevice::CPU, MemoryType::Default)?;
        let cache_memory = match place {
            Place::Cpu => memory(AllocationDevice::CPU, MemoryType::Default)?,
            Place::Cuda => memory(AllocationDevice::CUDA, MemoryType::Default)?,
        };
        let binding = session.create_binding().map_err(failed)?;
        let mut decoder = Self { session, binding, graph, place, cache_memory, host_memory, logits: Vec::new() };
        decoder.try_out().map_err(|error| {
            LoadError::graph(
                format!("{} loads and does not run: {error}", files.graph.display()),
                "check the folder with `packetboat model verify`, or download the model again",
            )
        })?;
        Ok(decoder)
    }

    /// One token: kernels and device libraries that are missing show up now rather than with the first message.
    fn try_out(&mut self) -> Result<(), DecodeError> {
        let mut cache = self.begin()?;
        self.step(&[0], &mut cache).map(drop)
    }

    /// Where it runs.
    pub fn place(&self) -> Place {
        self.place
    }

    fn bind(&mut self, tokens: &[u32], cache: &KvCache) -> ort::Result<()> {
        let (past, new) = (cache.length, tokens.len());
        self.binding.clear();
        let ids: Vec<i64> = tokens.iter().map(|id| i64::from(*id)).collect();
        bind_numbers(&mut self.binding, &self.graph.ids, vec![1, new], ids)?;
        if let Some(port) = &self.graph.mask {
            bind_numbers(&mut self.binding, port, vec![1, past + new], vec![1; past + new])?;
        }
        if let Some(port) = &self.graph.positions {
            let positions = past as i64..(past + new) as i64;
            // models that also see count rows, columns and time alike over text
            let (dims, times) = if port.rank == 3 { (vec![3, 1, new], 3) } else { (vec![1, new], 1) };
            let repeated = std::iter::repeat_n(positions, times).flatten().collect();
            bind_numbers(&mut self.binding, port, dims, repeated)?;
        }
        if let Some(port) = &self.graph.keep {
            bind_numbers(&mut self.binding, port, vec![1; port.rank], vec![1])?;
        }
        for (port, value) in self.graph.caches.iter().zip(&cache.values) {
            self.binding.bind_input(&port.past, value)?;
        }
        self.binding.bind_output_to_device(&self.graph.logits, &self.host_memory)?;
        for port in &self.graph.caches {
            self.binding.bind_output_to_device(&port.present, &self.cache_memory)?;
        }
        Ok(())
    }

    fn run(&mut self, tokens: &[u32], cache: &mut KvCache) -> ort::Result<()> {
        self.bind(tokens, cache)?;
        let mut outputs = self.session.run_binding(&self.binding)?;
        let logits = outputs.get(&self.graph.logits).ok_or_else(|| ort::Error::new("the run gave no logits"))?;
        last_row(logits, &mut self.logits)?;
        let ports = self.graph.caches.iter();
        let values = ports.map(|port| outputs.remove(&port.present)).collect::<Option<Vec<_>>>();
        cache.values = values.ok_or_else(|| ort::Error::new("the run gave no cache"))?;
        cache.length += tokens.len();
        Ok(())
    }
}

impl Decoder for OrtDecoder {
    type Cache = KvCache;

    fn begin(&mut self) -> Result<KvCache, DecodeError> {
        let allocator = Allocator::default();
        let empty = |port: &super::graph::CachePort| {
            let shape = [1, port.heads, 0, port.head_dim];
            DynTensor::new(&allocator, element_type(port.element), shape).map(DynTensor::into_dyn)
        };
        let values: ort::Result<Vec<DynValue>> = self.graph.caches.iter().map(empty).collect();
        Ok(KvCache { values: values.map_err(|error| DecodeError(error.to_string()))?, length: 0 })
    }

    fn step(&mut self, tokens: &[u32], cache: &mut KvCache) -> Result<&[f32], DecodeError> {
        self.run(tokens, cache).map_err(|error| DecodeError(error.to_string()))?;
        Ok(&self.logits)
    }
}

fn unusable(graph: &Path, cause: &str) -> LoadError {
    LoadError::graph(
        format!("ONNX Runtime can't load {}: {cause}", graph.display()),
        "check the folder with `packetboat model verify`; a model that is newer than the runtime needs a newer runtime",
    )
}

/// The settings that every session shares.
fn builder(environment: &Environment) -> Result<SessionBuilder, String> {
    let told = |error: ort::Error<SessionBuilder>| error.to_string();
    Session::builder(environment)
        .map_err(|error| error.to_string())?
        .with_optimization_level(GraphOptimizationLevel::All)
        .map_err(told)?
        // between two steps the threads would burn the processor that the rest of the daemon needs
        .with_intra_op_spinning(false)
        .map_err(told)?
        // plans are kept per shape, and the shape changes with every token
        .with_memory_pattern(false)
        .map_err(told)
}

fn cpu_builder(environment: &Environment, threads: Option<usize>) -> Result<SessionBuilder, String> {
    let builder = builder(environment)?;
    match threads {
        Some(threads) => builder.with_intra_threads(threads.max(1)).map_err(|error| error.to_string()),
        None => Ok(builder),
    }
}

/// Registers CUDA, or says why not. With the processor's library this fails at once.
fn cuda_builder(environment: &Environment) -> Result<SessionBuilder, String> {
    if !ep::CUDA::is_available().unwrap_or(false) {
        return Err("this ONNX Runtime was built without CUDA".to_owned());
    }
    // a decoder needs no cuDNN; without it the library is one less to install
    let cuda =
        ep::CUDA::default().with_device_id(0).with_arbitrary_config("enable_cudnn", "0").build().error_on_failure();
    builder(environment)?.with_execution_providers([cuda]).map_err(|error| error.to_string())
}

fn port(outlet: &ort::value::Outlet) -> Port {
    let (element, dims) = match outlet.dtype() {
        ValueType::Tensor { ty, shape, .. } => (element(*ty), shape.to_vec()),
        _ => (Element::Other, Vec::new()),
    };
    Port { name: outlet.name().to_owned(), element, dims }
}

fn element(element: TensorElementType) -> Element {
    match element {
        TensorElementType::Float32 => Element::F32,
        TensorElementType::Float16 => Element::F16,
        TensorElementType::Bfloat16 => Element::Bf16,
        TensorElementType::Int64 => Element::I64,
        TensorElementType::Int32 => Element::I32,
        TensorElementType::Int8 => Element::I8,
        TensorElementType::Bool => Element::Bool,
        _ => Element::Other,
    }
}

fn element_type(element: Element) -> TensorElementType {
    match element {
        Element::F32 | Element::Other => TensorElementType::Float32,
        Element::F16 => TensorElementType::Float16,
        Element::Bf16 => TensorElementType::Bfloat16,
        Element::I64 => TensorElementType::Int64,
        Element::I32 => TensorElementType::Int32,
        Element::I8 => TensorElementType::Int8,
        Element::Bool => TensorElementType::Bool,
    }
}

fn bind_numbers(binding: &mut IoBinding, port: &NumberPort, dims: Vec<usize>, numbers: Vec<i64>) -> ort::Result<()> {
    if port.narrow {
        let numbers: Vec<i32> = numbers.iter().map(|number| *number as i32).collect();
        binding.bind_input(&port.name, &Tensor::from_array((dims, numbers))?)
    } else {
        binding.bind_input(&port.name, &Tensor::from_array((dims, numbers))?)
    }
}

/// The logits after the last token, as 32-bit floats.
fn last_row(value: &DynValue, row: &mut Vec<f32>) -> ort::Result<()> {
    row.clear();
    let ValueType::Tensor { ty, shape, .. } = value.dtype() else {
        return Err(ort::Error::new("logits are no tensor"));
    };
    let width = shape.last().copied().unwrap_or(0) as usize;
    let tail = |length: usize| length.saturating_sub(width)..length;
    match ty {
        TensorElementType::Float32 => {
            let (_, all) = value.try_extract_tensor::<f32>()?;
            row.extend_from_slice(&all[tail(all.len())]);
        }
        TensorElementType::Float16 => {
            let (_, all) = value.try_extract_tensor::<f16>()?;
            row.extend(all[tail(all.len())].iter().map(|logit| logit.to_f32()));
        }
        _ => {
            let (_, all) = value.try_extract_tensor::<bf16>()?;
            row.extend(all[tail(all.len())].iter().map(|logit| logit.to_f32()));
        }
    }
    Ok(())
}
