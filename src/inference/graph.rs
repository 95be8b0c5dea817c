//! What a decoder's graph wants and gives, told by the names and shapes of its inputs and outputs.
//!
//! The same model comes with and without `position_ids`, `num_logits_to_keep`, with 32- or 16-bit caches, in one order
//! or another; folders and file names don't tell, the graph does. Invariants: pure; every input is either understood or
//! refused by name. Not here: ONNX Runtime.

use std::collections::BTreeMap;

use super::layout::ModelSettings;

/// A tensor's element, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// float
    F32,
    /// float16
    F16,
    /// bfloat16
    Bf16,
    /// int64
    I64,
    /// int32
    I32,
    /// int8 (quantised caches)
    I8,
    /// bool
    Bool,
    /// anything else
    Other,
}

/// An input or output of the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its element.
    pub element: Element,
    /// Its shape; -1 = decided when it runs.
    pub dims: Vec<i64>,
}

/// A port that is fed with whole numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberPort {
    /// Its name.
    pub name: String,
    /// 32 bits rather than 64.
    pub narrow: bool,
    /// How many dimensions.
    pub rank: usize,
}

/// One layer's keys or values: what goes in again as it came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachePort {
    /// The input.
    pub past: String,
    /// The output.
    pub present: String,
    /// Its element.
    pub element: Element,
    /// Heads.
    pub heads: i64,
    /// Their size.
    pub head_dim: i64,
}

/// A decoder with a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecoderGraph {
    /// `[1, tokens]`
    pub ids: NumberPort,
    /// `[1, past + tokens]`
    pub mask: Option<NumberPort>,
    /// `[1, tokens]`, or `[3, 1, tokens]` for models that also see
    pub positions: Option<NumberPort>,
    /// A number: how many last logits are wanted.
    pub keep: Option<NumberPort>,
    /// In the graph's order.
    pub caches: Vec<CachePort>,
    /// `[1, tokens or 1, vocabulary]`
    pub logits: String,
}

impl DecoderGraph {
    /// Understands the graph, or says which part it does not.
    pub fn detect(inputs: &[Port], outputs: &[Port], settings: &ModelSettings) -> Result<Self, String> {
        let logits = outputs.iter().find(|port| port.name == "logits").ok_or("it has no output `logits`")?;
        if !matches!(logits.element, Element::F32 | Element::F16 | Element::Bf16) {
            return Err("its logits are no floating-point numbers".to_owned());
        }
        let presents = presents(outputs);
        let mut graph = Self {
            ids: NumberPort { name: String::new(), narrow: false, rank: 0 },
            mask: None,
            positions: None,
            keep: None,
            caches: Vec::new(),
            logits: logits.name.clone(),
        };
        for port in inputs {
            match port.name.as_str() {
                "input_ids" => graph.ids = number(port)?,
                "attention_mask" => graph.mask = Some(number(port)?),
                "position_ids" => graph.positions = Some(number(port)?),
                "num_logits_to_keep" | "logits_to_keep" => graph.keep = Some(number(port)?),
                name if name.starts_with("past") => graph.caches.push(cache(port, &presents, settings)?),
                name => return Err(format!("it wants the input `{name}`, {}", reason(name))),
            }
        }
        if graph.ids.name.is_empty() {
            return Err("it has no input `input_ids`".to_owned());
        }
        if graph.caches.is_empty() {
            return Err("it has no past_key_values: it was exported without a cache".to_owned());
        }
        Ok(graph)
    }
}

fn reason(name: &str) -> &'static str {
    match name {
        "use_cache_branch" => "which old merged exports have",
        "encoder_hidden_states" | "encoder_attention_mask" | "decoder_input_ids" => "which encoder-decoder models have",
        "inputs_embeds" => "which models in several graphs have (vision, speech)",
        "block_table" | "cumulative_sequence_lengths" => "which paged exports for CUDA have",
        _ => "which packetboat does not know",
    }
}

fn number(port: &Port) -> Result<NumberPort, String> {
    let narrow = match port.element {
        Element::I64 => false,
        Element::I32 => true,
        _ => return Err(format!("its input `{}` takes no whole numbers", port.name)),
    };
    Ok(NumberPort { name: port.name.clone(), narrow, rank: port.dims.len() })
}

/// The part of a cache port's name that past and present have in common: the layer and `key` or `value`.
fn place(name: &str) -> Option<(u32, String)> {
    let mut parts = name.rsplit('.');
    let kind = parts.next()?;
    let layer = parts.next()?.parse().ok()?;
    matches!(kind, "key" | "value").then(|| (layer, kind.to_owned()))
}

fn presents(outputs: &[Port]) -> BTreeMap<(u32, String), &str> {
    let presents = outputs.iter().filter(|port| port.name.starts_with("present"));
    presents.filter_map(|port| Some((place(&port.name)?, port.name.as_str()))).collect()
}

fn cache(port: &Port, presents: &BTreeMap<(u32, String), &str>, settings: &ModelSettings) -> Result<CachePort, String> {
    let name = &port.name;
    let unknown = || format!("its cache `{name}` is of a kind that packetboat does not know");
    let place = place(name).ok_or_else(unknown)?;
    let present = presents.get(&place).ok_or_else(|| format!("`{name}` goes in, and no present comes out for it"))?;
    let &[_, heads, _, head_dim] = port.dims.as_slice() else { return Err(unknown()) };
    let sized = |dim: i64, configured: Option<i64>| if dim > 0 { Some(dim) } else { configured.filter(|dim| *dim > 0) };
    let sizes = sized(heads, settings.kv_heads).zip(sized(head_dim, settings.head_dim));
    let (heads, head_dim) = sizes.ok_or_else(|| {
        format!("neither the graph nor config.json says how big `{name}` is (num_key_value_heads, head_dim)")
    })?;
    if matches!(port.element, Element::Bool | Element::Other) {
        return Err(unknown());
    }
    Ok(CachePort { past: name.clone(), present: (*present).to_owned(), element: port.element, heads, head_dim })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: &str, element: Element, dims: &[i64]) -> Port {
        Port { name: name.to_owned(), element, dims: dims.to_vec() }
    }

    fn caches(prefix: &str, element: Element, dims: &[i64]) -> Vec<Port> {
        ["0.key", "0.value", "1.key", "1.value"]
            .iter()
            .map(|place| port(&format!("{prefix}.{place}"), element, dims))
            .collect()
    }

    fn graph(extra: &[Port], past: &[Port]) -> Result<DecoderGraph, String> {
        let inputs = [&[port("input_ids", Element::I64, &[-1, -1])], extra, past].concat();
        let outputs =
            [vec![port("logits", Element::F32, &[-1, -1, 512])], caches("present", Element::F32, &[-1, 2, -1, 16])]
                .concat();
        DecoderGraph::detect(&inputs, &outputs, &ModelSettings::default())
    }

    #[test]
    fn optimums_graph_has_positions_and_the_genai_one_has_none() {
        let past = caches("past_key_values", Element::F32, &[-1, 2, -1, 16]);
        let mask = port("attention_mask", Element::I64, &[-1, -1]);
        let positions = port("position_ids", Element::I64, &[-1, -1]);
        let optimum = graph(&[mask.clone(), positions], &past).unwrap();
        assert!(optimum.positions.is_some_and(|port| port.rank == 2 && !port.narrow));
        let genai = graph(&[mask], &past).unwrap();
        assert!(genai.positions.is_none() && genai.mask.is_some());
        assert_eq!(genai.caches[3].past, "past_key_values.1.value");
        assert_eq!(genai.caches[3].present, "present.1.value");
    }

    #[test]
    fn half_float_caches_with_float_logits_and_a_narrow_mask_are_understood() {
        let past = caches("past_key_values", Element::F16, &[-1, 2, -1, 16]);
        let extra = [port("attention_mask", Element::I32, &[-1, -1]), port("num_logits_to_keep", Element::I64, &[])];
        let graph = graph(&extra, &past).unwrap();
        assert_eq!(graph.caches[0].element, Element::F16);
        assert!(graph.mask.is_some_and(|port| port.narrow));
        assert!(graph.keep.is_some_and(|port| port.rank == 0));
    }

    #[test]
    fn a_size_that_the_graph_leaves_open_comes_from_the_configuration() {
        let inputs = [
            vec![port("input_ids", Element::I64, &[-1, -1])],
            caches("past_key_values", Element::F32, &[-1, 2, -1, -1]),
        ]
        .concat();
        let outputs = [vec![port("logits", Element::F32, &[])], caches("present", Element::F32, &[])].concat();
        let settings = ModelSettings { head_dim: Some(16), ..ModelSettings::default() };
        assert_eq!(DecoderGraph::detect(&inputs, &outputs, &settings).unwrap().caches[0].head_dim, 16);
        let error = DecoderGraph::detect(&inputs, &outputs, &ModelSettings::default()).unwrap_err();
        assert!(error.contains("head_dim"), "{error}");
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        let past = caches("past_key_values", Element::F32, &[-1, 2, -1, 16]);
        for (name, hint) in [
            ("use_cache_branch", "merged"),
            ("encoder_hidden_states", "encoder-decoder"),
            ("inputs_embeds", "several graphs"),
            ("block_table", "paged"),
            ("surprise", "does not know"),
        ] {
            let error = graph(&[port(name, Element::Bool, &[-1])], &past).unwrap_err();
            assert!(error.contains(name) && error.contains(hint), "{error}");
        }
        assert!(graph(&[], &[]).unwrap_err().contains("without a cache"));
        let states = [port("past_conv.0", Element::F32, &[-1, 8, 3])];
        assert!(graph(&[], &states).unwrap_err().contains("past_conv.0"));
        let odd = caches("past_key_values", Element::F32, &[-1, 2, 16]);
        assert!(graph(&[], &odd).unwrap_err().contains("past_key_values.0.key"));
    }
}
