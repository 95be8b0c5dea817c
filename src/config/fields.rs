//! A struct's field names in the order of its source, asked of serde: schemas list them alphabetically.

use serde::de::{Deserialize, Deserializer, Error as _, Visitor};

/// As serde knows them; empty when `T` is no struct with named fields.
pub fn fields_of<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    // always fails, after the names were told
    let _ = T::deserialize(Ask { names: &mut names });
    names
}

struct Ask<'a> {
    names: &'a mut &'static [&'static str],
}

impl<'de> Deserializer<'de> for Ask<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Self::Error> {
        Err(Self::Error::custom("only asked for the names of its fields"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        *self.names = fields;
        self.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::config::LogConfig;

    #[test]
    fn names_come_in_the_order_of_the_source() {
        assert_eq!(fields_of::<LogConfig>(), ["format", "level"]);
    }
}
