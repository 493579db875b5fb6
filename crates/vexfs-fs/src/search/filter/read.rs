//! The values of a payload that a filter asks for; the rest of the JSON is passed over.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::expr::{Number, Path, Value};

/// The value at each of `paths`, `None` where there is none. An empty payload has none.
///
/// # Errors
/// What is wrong with the JSON.
pub(super) fn values(payload: &str, paths: &[Path]) -> Result<Vec<Option<Value>>, serde_json::Error> {
    let mut found = vec![None; paths.len()];
    if !payload.is_empty() {
        let wanted = paths.iter().map(|path| &path[..]).enumerate().collect();
        let mut json = serde_json::Deserializer::from_str(payload);
        Seek { wanted, found: &mut found }.deserialize(&mut json)?;
        json.end()?;
    }
    Ok(found)
}

/// The numbers of paths, with what is left of them below some value.
type Wanted<'p> = Vec<(usize, &'p [String])>;

/// Looks for values in one that is being read.
struct Seek<'p, 'f> {
    wanted: Wanted<'p>,
    found: &'f mut [Option<Value>],
}

impl Seek<'_, '_> {
    /// The value itself is found by the paths that end here.
    fn is(&mut self, value: &Value) {
        for (number, _) in self.wanted.iter().filter(|(_, rest)| rest.is_empty()) {
            self.found[*number] = Some(value.clone());
        }
    }
}

impl<'de> DeserializeSeed<'de> for Seek<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(mut self) -> Result<(), E> {
        self.is(&Value::Null);
        Ok(())
    }

    fn visit_bool<E: Error>(mut self, value: bool) -> Result<(), E> {
        self.is(&Value::Bool(value));
        Ok(())
    }

    fn visit_i64<E: Error>(mut self, value: i64) -> Result<(), E> {
        self.is(&Value::Number(Number::Whole(value.into())));
        Ok(())
    }

    fn visit_u64<E: Error>(mut self, value: u64) -> Result<(), E> {
        self.is(&Value::Number(Number::Whole(value.into())));
        Ok(())
    }

    fn visit_f64<E: Error>(mut self, value: f64) -> Result<(), E> {
        self.is(&Value::Number(Number::Real(value)));
        Ok(())
    }

    fn visit_str<E: Error>(mut self, value: &str) -> Result<(), E> {
        self.is(&Value::Text(value.to_owned()));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut array: A) -> Result<(), A::Error> {
        self.is(&Value::Compound);
        while array.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut object: A) -> Result<(), A::Error> {
        self.is(&Value::Compound);
        while let Some(wanted) = object.next_key_seed(Below(&self.wanted))? {
            if wanted.is_empty() {
                object.next_value::<IgnoredAny>()?;
                continue;
            }
            // Of members with one name the last counts, with all that is below it.
            wanted.iter().for_each(|(number, _)| self.found[*number] = None);
            object.next_value_seed(Seek { wanted, found: self.found })?;
        }
        Ok(())
    }
}

/// Finds the paths that lead below the member with the name that is being read.
struct Below<'w, 'p>(&'w Wanted<'p>);

impl<'de, 'p> DeserializeSeed<'de> for Below<'_, 'p> {
    type Value = Wanted<'p>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Wanted<'p>, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'p> Visitor<'_> for Below<'_, 'p> {
    type Value = Wanted<'p>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Wanted<'p>, E> {
        let below = self.0.iter().filter_map(|&(number, path)| match path.split_first() {
            Some((first, rest)) if first == name => Some((number, rest)),
            _ => None,
        });
        Ok(below.collect())
    }
}
