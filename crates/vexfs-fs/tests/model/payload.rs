//! Payload and filters, each in two forms: as text for the volume, and as values and a condition for the model.

use crate::crash_model::Random;

const LANGUAGES: [&str; 4] = ["de", "en", "fr", "ja"];

/// What is known of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    pub year: u64,
    /// Index in [`LANGUAGES`].
    language: usize,
    pub tag: Option<u64>,
}

/// The payload of a row, or none.
pub type Payload = Option<Facts>;

/// The payload that `random` gives a row; one in eight has none.
pub fn random_payload(random: &mut Random) -> Payload {
    let facts = Facts {
        year: 2000 + random.below(30),
        language: random.below(LANGUAGES.len() as u64) as usize,
        tag: (random.below(3) == 0).then(|| random.below(100)),
    };
    (random.below(8) > 0).then_some(facts)
}

/// As it is stored.
pub fn text(payload: &Payload) -> String {
    let Some(facts) = payload else { return String::new() };
    let tag = facts.tag.map_or(String::new(), |tag| format!(",\"a\":{{\"tag\":{tag}}}"));
    format!("{{\"year\":{},\"lang\":\"{}\"{tag}}}", facts.year, LANGUAGES[facts.language])
}

/// A filter as it is typed and as it is meant.
#[derive(Debug)]
pub struct Condition {
    pub text: String,
    since: u64,
    /// Index in [`LANGUAGES`].
    language: Option<usize>,
    is_tagged: Option<bool>,
}

impl Condition {
    /// Some condition: from one that nearly all rows fulfil to one that nearly none does.
    pub fn random(random: &mut Random) -> Self {
        let since = 2000 + random.below(31);
        let language = (random.below(2) == 0).then(|| random.below(LANGUAGES.len() as u64) as usize);
        let is_tagged = (random.below(3) == 0).then(|| random.below(2) == 0);
        let mut text = format!("year >= {since}");
        if let Some(language) = language {
            text += &format!(" AND lang = '{}'", LANGUAGES[language]);
        }
        match is_tagged {
            Some(true) => text += " AND a.tag IS NOT NULL",
            Some(false) => text += " AND NOT EXISTS a.tag",
            None => {}
        }
        Self { text, since, language, is_tagged }
    }

    /// Whether a row with this payload is meant.
    pub fn holds(&self, payload: &Payload) -> bool {
        payload.is_some_and(|facts| {
            facts.year >= self.since
                && self.language.is_none_or(|language| language == facts.language)
                && self.is_tagged.is_none_or(|is_tagged| is_tagged == facts.tag.is_some())
        })
    }
}

impl Facts {
    /// What [`text`] has written.
    pub fn parse(stored: &str) -> Self {
        let json: serde_json::Value = serde_json::from_str(stored).expect("the payload is JSON");
        let language = LANGUAGES.iter().position(|language| json["lang"] == *language);
        Self {
            year: json["year"].as_u64().expect("a year"),
            language: language.expect("a language"),
            tag: json["a"]["tag"].as_u64(),
        }
    }
}
