//! Which other files an ONNX file takes its weights from, found by walking its protobuf without loading the weights.
//!
//! ONNX Runtime would follow any `external_data` location, out of the folder too (several CVEs), so they are checked
//! before it sees the file. Invariants: every tensor of every graph, subgraph and function is seen; weights are skipped,
//! not read; a length that goes beyond its surroundings means a truncated file. Not here: opening those files.

use std::io::{self, BufReader, Read, Seek};

/// Names longer than this are nobody's.
const LONGEST_NAME: u64 = 4096;
/// Subgraphs inside subgraphs; real models use two or three levels of messages per graph.
const DEEPEST: u32 = 64;

/// A stretch of another file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExternalPart {
    /// Where, relative to the ONNX file, as it says.
    pub location: String,
    /// From there.
    pub offset: u64,
    /// So many bytes; none = to the end.
    pub length: Option<u64>,
}

/// Why the walk ended.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// It ends in the middle.
    #[error("is cut off: it ends in the middle of its content")]
    Truncated,
    /// It is something else.
    #[error("is not an ONNX model")]
    NotOnnx,
    /// The disk.
    #[error("can't be read: {0}")]
    Io(#[from] io::Error),
}

/// The messages on the way from a model to its tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Function,
    Sparse,
    Tensor,
    Entry,
}

impl Message {
    /// What lies under a length-delimited field, where it matters to us (numbers of onnx.proto).
    fn child(self, field: u64) -> Option<Self> {
        Some(match (self, field) {
            (Self::Model, 7) | (Self::Attribute, 6 | 11) => Self::Graph,
            (Self::Model, 25) => Self::Function,
            (Self::Graph, 1) | (Self::Function, 7) => Self::Node,
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::Sparse, 1 | 2) => Self::Tensor,
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Self::Sparse,
            (Self::Node, 5) => Self::Attribute,
            (Self::Tensor, 13) => Self::Entry,
            _ => return None,
        })
    }
}

/// Every external part of the model in `source`, which is `length` bytes long.
pub fn external_parts(source: impl Read + Seek, length: u64) -> Result<Vec<ExternalPart>, WalkError> {
    let mut walk = Walk { source: BufReader::with_capacity(1 << 16, source), at: 0, parts: Vec::new(), graphs: 0 };
    walk.message(Message::Model, length, 0)?;
    if walk.graphs == 0 {
        return Err(WalkError::NotOnnx);
    }
    Ok(walk.parts)
}

struct Walk<R> {
    source: BufReader<R>,
    at: u64,
    parts: Vec<ExternalPart>,
    graphs: u32,
}

impl<R: Read + Seek> Walk<R> {
    /// Reads one message up to `end`.
    fn message(&mut self, message: Message, end: u64, depth: u32) -> Result<(), WalkError> {
        if depth > DEEPEST {
            return Err(WalkError::NotOnnx);
        }
        let mut part = ExternalPart::default();
        while self.at < end {
            let tag = self.varint(end)?;
            let field = tag >> 3;
            match tag & 7 {
                0 => drop(self.varint(end)?),
                1 => self.skip(8, end)?,
                5 => self.skip(4, end)?,
                2 => self.delimited(message, field, end, depth, &mut part)?,
                _ => return Err(WalkError::NotOnnx),
            }
            if field == 0 {
                return Err(WalkError::NotOnnx);
            }
        }
        if !part.location.is_empty() {
            self.parts.push(part);
        }
        Ok(())
    }

    fn delimited(
        &mut self,
        message: Message,
        field: u64,
        end: u64,
        depth: u32,
        part: &mut ExternalPart,
    ) -> Result<(), WalkError> {
        let length = self.varint(end)?;
        if length > end - self.at {
            return Err(WalkError::Truncated);
        }
        let inner = self.at + length;
        match message.child(field) {
            Some(Message::Entry) => self.entry(inner, part),
            Some(child) => {
                self.graphs += u32::from(child == Message::Graph);
                self.message(child, inner, depth + 1)
            }
            None => self.skip(length, end),
        }
    }

    /// A tensor's `external_data` is a list of keys and values.
    fn entry(&mut self, end: u64, part: &mut ExternalPart) -> Result<(), WalkError> {
        let (mut key, mut value) = (String::new(), String::new());
        while self.at < end {
            let tag = self.varint(end)?;
            let length = if tag & 7 == 2 { self.varint(end)? } else { return Err(WalkError::NotOnnx) };
            if length > end - self.at {
                return Err(WalkError::Truncated);
            }
            match tag >> 3 {
                1 => key = self.name(length)?,
                2 => value = self.name(length)?,
                _ => self.skip(length, end)?,
            }
        }
        match key.as_str() {
            "location" => part.location = value,
            "offset" => part.offset = value.parse().map_err(|_| WalkError::NotOnnx)?,
            "length" => part.length = Some(value.parse().map_err(|_| WalkError::NotOnnx)?),
            _ => {}
        }
        Ok(())
    }

    fn name(&mut self, length: u64) -> Result<String, WalkError> {
        if length > LONGEST_NAME {
            return Err(WalkError::NotOnnx);
        }
        let mut bytes = vec![0; length as usize];
        self.source.read_exact(&mut bytes)?;
        self.at += length;
        String::from_utf8(bytes).map_err(|_| WalkError::NotOnnx)
    }

    fn varint(&mut self, end: u64) -> Result<u64, WalkError> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            if self.at >= end {
                return Err(WalkError::Truncated);
            }
            let mut byte = [0];
            self.source.read_exact(&mut byte)?;
            self.at += 1;
            value |= u64::from(byte[0] & 0x7F).checked_shl(shift).unwrap_or(0);
            if byte[0] & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(WalkError::NotOnnx)
    }

    fn skip(&mut self, length: u64, end: u64) -> Result<(), WalkError> {
        if length > end - self.at {
            return Err(WalkError::Truncated);
        }
        let step = i64::try_from(length).map_err(|_| WalkError::Truncated)?;
        self.source.seek_relative(step)?;
        self.at += length;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    fn varint(mut value: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value >= 0x80 {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    }

    fn field(number: u64, content: &[u8]) -> Vec<u8> {
        [varint(number << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
    }

    fn entry(key: &str, value: &str) -> Vec<u8> {
        field(13, &[field(1, key.as_bytes()), field(2, value.as_bytes())].concat())
    }

    fn tensor(location: &str) -> Vec<u8> {
        [
            field(8, b"weight"),
            entry("location", location),
            entry("offset", "4096"),
            entry("length", "12"),
            vec![14 << 3, 1],
        ]
        .concat()
    }

    fn walk(bytes: &[u8]) -> Result<Vec<ExternalPart>, WalkError> {
        external_parts(Cursor::new(bytes), bytes.len() as u64)
    }

    fn model(graph: &[u8]) -> Vec<u8> {
        [vec![1 << 3, 10], field(2, b"test"), field(7, graph)].concat()
    }

    #[test]
    fn a_tensor_of_the_graph_is_found_and_raw_data_skipped() {
        let inline = field(5, &field(9, &[0xFF; 300]));
        let bytes = model(&[inline, field(5, &tensor("model.onnx.data"))].concat());
        let expected = ExternalPart { location: "model.onnx.data".to_owned(), offset: 4096, length: Some(12) };
        assert_eq!(walk(&bytes).unwrap(), [expected]);
    }

    #[test]
    fn tensors_hidden_in_subgraphs_attributes_functions_and_sparse_tensors_are_found() {
        let constant = field(5, &field(5, &tensor("/etc/passwd")));
        let subgraph = field(5, &field(6, &field(1, &constant)));
        let sparse = field(15, &field(1, &tensor("../up")));
        let graph = [field(1, &subgraph), sparse].concat();
        let function = field(25, &field(7, &field(5, &field(10, &tensor("in-function")))));
        let parts = walk(&[model(&graph), function].concat()).unwrap();
        let locations: Vec<&str> = parts.iter().map(|part| part.location.as_str()).collect();
        assert_eq!(locations, ["/etc/passwd", "../up", "in-function"]);
    }

    #[test]
    fn a_file_cut_anywhere_is_truncated_or_has_no_graph() {
        let bytes = model(&field(5, &tensor("model.onnx.data")));
        for end in 0..bytes.len() {
            assert!(walk(&bytes[..end]).is_err(), "cut at {end}");
        }
        assert!(matches!(walk(&bytes[..bytes.len() - 1]), Err(WalkError::Truncated)));
    }

    #[test]
    fn something_else_is_not_a_model() {
        assert!(walk(b"<html>not found</html>").is_err());
        assert!(walk(b"").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = walk(&bytes);
        }

        #[test]
        fn no_change_of_one_byte_makes_it_panic(at in 0usize..200, byte: u8) {
            let mut bytes = model(&field(5, &tensor("model.onnx.data")));
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = walk(&bytes);
        }
    }
}
