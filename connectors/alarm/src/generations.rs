//! The Avro schemas of the alarm topics, by generation: ours, and those of JLab's console.
//!
//! JLab's are of <https://github.com/JeffersonLab/kafka-alarm-system>. Of its third generation the schemas of active alarms are
//! not here: what is written follows those that are in the registry.

/// What a topic tells of alarms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Which are active.
    Active,
    /// What can alarm.
    Registered,
    /// Which are on the shelf.
    Shelved,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 3] = [Self::Active, Self::Registered, Self::Shelved];

    /// A word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Registered => "registered",
            Self::Shelved => "shelved",
        }
    }
}

/// Whose schemas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Generation {
    /// Ours.
    Generic,
    /// JLab's first, whose registrations are in `alarms`.
    First,
    /// JLab's second, with audit headers and `registered-alarms`.
    Second,
    /// JLab's last.
    Third,
}

impl Generation {
    /// All of them.
    pub const ALL: [Generation; 4] = [Self::Generic, Self::First, Self::Second, Self::Third];

    /// The name of the generation: `generic`, `jlab-1` to `jlab-3`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::First => "jlab-1",
            Self::Second => "jlab-2",
            Self::Third => "jlab-3",
        }
    }
}

/// The text of the schema of a topic's values; none where it is not known.
pub fn schema_text(kind: Kind, generation: Generation) -> Option<&'static str> {
    Some(match (kind, generation) {
        (Kind::Active, Generation::Generic) => include_str!("../../../schemas/active-alarms-value.avsc"),
        (Kind::Registered, Generation::Generic) => include_str!("../../../schemas/alarms-value.avsc"),
        (Kind::Shelved, Generation::Generic) => include_str!("../../../schemas/shelved-alarms-value.avsc"),
        (Kind::Active, Generation::First) => include_str!("../../../schemas/jlab/1/active-alarms-value.avsc"),
        (Kind::Registered, Generation::First) => include_str!("../../../schemas/jlab/1/alarms-value.avsc"),
        (Kind::Shelved, Generation::First) => include_str!("../../../schemas/jlab/1/shelved-alarms-value.avsc"),
        (Kind::Active, Generation::Second) => include_str!("../../../schemas/jlab/2/active-alarms-value.avsc"),
        (Kind::Registered, Generation::Second) => include_str!("../../../schemas/jlab/2/registered-alarms-value.avsc"),
        (Kind::Shelved, Generation::Second) => include_str!("../../../schemas/jlab/2/shelved-alarms-value.avsc"),
        (Kind::Active, Generation::Third) => return None,
        (Kind::Registered, Generation::Third) => include_str!("../../../schemas/jlab/3/registered-alarms-value.avsc"),
        (Kind::Shelved, Generation::Third) => include_str!("../../../schemas/jlab/3/shelved-alarms-value.avsc"),
    })
}

/// The name of the topic in that generation.
pub fn topic(kind: Kind, generation: Generation) -> &'static str {
    match (kind, generation) {
        (Kind::Active, _) => "active-alarms",
        (Kind::Shelved, _) => "shelved-alarms",
        (Kind::Registered, Generation::Generic | Generation::First) => "alarms",
        (Kind::Registered, Generation::Second | Generation::Third) => "registered-alarms",
    }
}
