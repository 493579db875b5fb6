//! What to build, as a person writes it: `hnsw`, `ivf,nlist=1024`, `pq,pq_m=32,nbits=4`.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The kinds of index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Exact scan over 8-bit codes with a proven bound.
    Flat,
    /// Hierarchical navigable small world graph.
    Hnsw,
    /// Inverted lists of codes of 8, 4 or 1 bits per element.
    Ivf,
    /// Product quantisation, all codes scanned.
    Pq,
    /// Inverted lists of product-quantised residuals.
    IvfPq,
    /// Locality-sensitive hashing.
    Lsh,
}

impl Kind {
    /// All kinds, in the order of their codes.
    pub const ALL: [Self; 6] = [Self::Flat, Self::Hnsw, Self::Ivf, Self::Pq, Self::IvfPq, Self::Lsh];

    /// The name that is typed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Hnsw => "hnsw",
            Self::Ivf => "ivf",
            Self::Pq => "pq",
            Self::IvfPq => "ivf-pq",
            Self::Lsh => "lsh",
        }
    }

    /// The number in an image.
    pub const fn code(self) -> u8 {
        self as u8 + 1
    }

    /// The kind of a number in an image.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A description that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SpecError(pub String);

/// A kind and the parameters given for it, each `name=value`. The kind says which there are, and their defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexSpec {
    /// The kind.
    pub kind: Kind,
    options: Vec<(String, String)>,
}

impl IndexSpec {
    /// A kind with its defaults.
    pub fn of(kind: Kind) -> Self {
        Self { kind, options: Vec::new() }
    }

    /// The parameters, to be taken one by one.
    pub fn options(&self) -> Options {
        Options { kind: self.kind, left: self.options.clone() }
    }
}

impl fmt::Display for IndexSpec {
    /// As it is parsed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        self.options.iter().try_for_each(|(name, value)| write!(f, ",{name}={value}"))
    }
}

impl FromStr for IndexSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let mut parts = text.split(',');
        let name = parts.next().unwrap_or_default();
        let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.name() == name) else {
            let known = Kind::ALL.map(Kind::name).join(", ");
            return Err(SpecError(format!("{name:?} is no kind of index; known are {known}")));
        };
        let mut options: Vec<(String, String)> = Vec::new();
        for part in parts {
            let Some((name, value)) = part.split_once('=') else {
                return Err(SpecError(format!("{part:?}: a parameter is written name=value")));
            };
            let name = name.trim().replace('-', "_");
            if options.iter().any(|(other, _)| *other == name) {
                return Err(SpecError(format!("{name} is given twice")));
            }
            options.push((name, value.trim().to_owned()));
        }
        Ok(Self { kind, options })
    }
}

/// Parameters of an [`IndexSpec`], each taken by whoever knows it; what is left at the end is unknown.
#[derive(Debug)]
pub struct Options {
    kind: Kind,
    left: Vec<(String, String)>,
}

impl Options {
    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.left.iter().position(|(other, _)| other == name)?;
        Some(self.left.swap_remove(at).1)
    }

    /// A whole number within `range`, or `None` if it is not given.
    ///
    /// # Errors
    /// [`SpecError`] for what is no number or lies outside.
    pub fn number(&mut self, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, SpecError> {
        let Some(text) = self.take(name) else { return Ok(None) };
        match text.parse::<u64>() {
            Ok(value) if range.contains(&value) => Ok(Some(value)),
            _ => Err(SpecError(format!(
                "{name}={text}: a whole number from {} to {} is expected",
                range.start(),
                range.end()
            ))),
        }
    }

    /// A number within `range`, or `None` if it is not given.
    ///
    /// # Errors
    /// [`SpecError`] for what is no number or lies outside.
    pub fn real(&mut self, name: &str, range: RangeInclusive<f64>) -> Result<Option<f64>, SpecError> {
        let Some(text) = self.take(name) else { return Ok(None) };
        match text.parse::<f64>() {
            Ok(value) if range.contains(&value) => Ok(Some(value)),
            _ => Err(SpecError(format!(
                "{name}={text}: a number from {} to {} is expected",
                range.start(),
                range.end()
            ))),
        }
    }

    /// One of `choices` by its name, or `None` if it is not given.
    ///
    /// # Errors
    /// [`SpecError`] for other names.
    pub fn choice<T: Copy>(
        &mut self,
        name: &str,
        choices: &[(&'static str, T)],
    ) -> Result<Option<T>, SpecError> {
        let Some(text) = self.take(name) else { return Ok(None) };
        match choices.iter().find(|(choice, _)| *choice == text) {
            Some((_, value)) => Ok(Some(*value)),
            None => {
                let known: Vec<_> = choices.iter().map(|(choice, _)| *choice).collect();
                Err(SpecError(format!("{name}={text}: one of {} is expected", known.join(", "))))
            }
        }
    }

    /// Makes sure that nothing is left.
    ///
    /// # Errors
    /// [`SpecError`] that names what nobody took, and `known`, the names of the kind's parameters.
    pub fn finish(self, known: &[&str]) -> Result<(), SpecError> {
        match self.left.first() {
            None => Ok(()),
            Some((name, _)) => Err(SpecError(format!(
                "{} has no parameter {name}; it has {}",
                self.kind,
                if known.is_empty() { "none".to_owned() } else { known.join(", ") }
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        IndexSpec::from_str(text).unwrap_err().to_string()
    }

    #[test]
    fn kinds_go_by_their_names_and_codes() {
        for kind in Kind::ALL {
            assert_eq!(IndexSpec::from_str(kind.name()), Ok(IndexSpec::of(kind)));
            assert_eq!(Kind::from_code(kind.code()), Some(kind));
        }
        assert_eq!(Kind::from_code(0), None);
        assert!(error("tree").contains("known are flat, hnsw"));
    }

    #[test]
    fn parameters_are_taken_by_name_and_checked() {
        let spec = IndexSpec::from_str("hnsw,ef-construction=200,m=16,alpha=1.2,codes=sq8").unwrap();
        assert_eq!(spec.to_string(), "hnsw,ef_construction=200,m=16,alpha=1.2,codes=sq8");
        assert_eq!(spec.to_string().parse(), Ok(spec.clone()));
        let mut options = spec.options();
        assert_eq!(options.number("m", 2..=64), Ok(Some(16)));
        assert_eq!(options.number("ef_construction", 1..=1000), Ok(Some(200)));
        assert_eq!(options.number("m", 2..=64), Ok(None));
        assert_eq!(options.real("alpha", 1.0..=2.0), Ok(Some(1.2)));
        assert_eq!(options.choice("codes", &[("sq8", 1), ("f32", 2)]), Ok(Some(1)));
        assert_eq!(options.finish(&["m"]), Ok(()));

        assert!(spec.options().number("m", 17..=64).unwrap_err().to_string().contains("from 17 to 64"));
        assert!(spec.options().choice("codes", &[("pq", ())]).unwrap_err().to_string().contains("one of pq"));
        let unknown = spec.options().finish(&["m"]).unwrap_err().to_string();
        assert!(unknown.contains("hnsw has no parameter ef_construction; it has m"), "{unknown}");
    }

    #[test]
    fn what_is_no_parameter_is_named() {
        assert!(error("ivf,nlist").contains("name=value"));
        assert!(error("ivf,nlist=1,nlist=2").contains("twice"));
    }
}
