//! What a provider of channels reports: events, samples and values.

use std::{
    fmt,
    net::SocketAddr,
    str::FromStr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{
    alarm::{Severity, Status},
    ca::dbr::Control,
};

/// One channel of one client, as long as it is added. Numbers are not used twice within a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub(crate) u32);

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Something that happened to a channel.
///
/// A channel that has not been found produces no events at all. After a channel was removed, events that were queued
/// before may still come and are to be ignored.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The channel exists and a monitor is being set up.
    Connected {
        /// The channel.
        id: ChannelId,
        /// The type of the channel's values.
        native: NativeType,
        /// The greatest number of elements of a value: 1 for scalars.
        count: u32,
        /// The server; none when the channel is simulated.
        server: Option<SocketAddr>,
    },
    /// What the server says about the channel besides its value: before its first state, and when that changes. Only where
    /// [`Subscription::metadata`] asks for it.
    Described {
        /// The channel.
        id: ChannelId,
        /// Units, limits and labels.
        control: Arc<Control>,
    },
    /// A connected channel is gone. It is searched for again; another [`Event::Connected`] may follow.
    Disconnected {
        /// The channel.
        id: ChannelId,
    },
    /// The channel's state: once after connecting, then on each change that its [`Mask`] asks for.
    Update {
        /// The channel.
        id: ChannelId,
        /// The state.
        sample: Sample,
    },
    /// The channel cannot be monitored, or one of its updates could not be had. A later update means that it works again.
    Failed {
        /// The channel.
        id: ChannelId,
        /// The reason.
        why: Failure,
    },
}

impl Event {
    /// The channel that the event is about.
    pub fn id(&self) -> ChannelId {
        match self {
            Event::Connected { id, .. }
            | Event::Described { id, .. }
            | Event::Disconnected { id }
            | Event::Update { id, .. }
            | Event::Failed { id, .. } => *id,
        }
    }
}

/// Why a channel or one of its updates failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Failure {
    /// The name is empty, holds a zero byte or fits no search message.
    #[error("a channel name must have 1 to {limit} bytes and no zero byte")]
    InvalidName {
        /// The greatest length in bytes.
        limit: usize,
    },
    /// The server's access rules deny reading. Updates follow when they come to permit it.
    #[error("the server denies read access")]
    NoReadAccess,
    /// The channel's type is none of the native types.
    #[error("the channel has type {0}, which cannot be monitored")]
    UnsupportedType(u16),
    /// The server refused the request or could not read the channel.
    #[error("the server answered {name} (status {code}): {text}")]
    Refused {
        /// The status code of Channel Access (`caerr.h`).
        code: u32,
        /// The name of that code without `ECA_`.
        name: &'static str,
        /// What the server says about it; may be empty.
        text: String,
    },
    /// The value is larger than the limit on arrays.
    #[error("an update of {bytes} bytes is over the limit of {limit} bytes for arrays")]
    TooLarge {
        /// The size of the update.
        bytes: u32,
        /// The limit, with the room for what comes besides the elements.
        limit: u32,
    },
    /// The update could not be decoded.
    #[error("decoding an update: {0}")]
    Malformed(String),
}

/// The state of a channel at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Why the channel is in alarm, if it is.
    pub status: Status,
    /// How bad that is.
    pub severity: Severity,
    /// When the server last processed the channel.
    pub time: Timestamp,
    /// The value.
    pub value: Value,
}

/// A time with nanoseconds. A record that was never processed has EPICS time 0, which is 1990-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub seconds: i64,
    /// Nanoseconds of the second, under 1 000 000 000.
    pub nanos: u32,
}

impl Timestamp {
    /// The present time of this host.
    pub fn now() -> Timestamp {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => {
                Timestamp { seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX), nanos: since.subsec_nanos() }
            }
            // A clock from before 1970 is not set.
            Err(_) => Timestamp { seconds: 0, nanos: 0 },
        }
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn unix_millis(self) -> i64 {
        self.seconds.saturating_mul(1000).saturating_add(i64::from(self.nanos / 1_000_000))
    }
}

/// The elements of a value: one for a scalar, any number (none included) for an array.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `DBR_STRING`. Text that is not UTF-8 is read as ISO 8859-1.
    String(Vec<String>),
    /// `DBR_SHORT`.
    Short(Vec<i16>),
    /// `DBR_FLOAT`.
    Float(Vec<f32>),
    /// `DBR_ENUM`: indexes of states.
    Enum(Vec<u16>),
    /// `DBR_CHAR`.
    Char(Vec<u8>),
    /// `DBR_LONG`.
    Long(Vec<i32>),
    /// `DBR_DOUBLE`.
    Double(Vec<f64>),
}

impl Value {
    /// The type of the elements.
    pub fn native_type(&self) -> NativeType {
        match self {
            Value::String(_) => NativeType::String,
            Value::Short(_) => NativeType::Short,
            Value::Float(_) => NativeType::Float,
            Value::Enum(_) => NativeType::Enum,
            Value::Char(_) => NativeType::Char,
            Value::Long(_) => NativeType::Long,
            Value::Double(_) => NativeType::Double,
        }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        match self {
            Value::String(v) => v.len(),
            Value::Short(v) => v.len(),
            Value::Float(v) => v.len(),
            Value::Enum(v) => v.len(),
            Value::Char(v) => v.len(),
            Value::Long(v) => v.len(),
            Value::Double(v) => v.len(),
        }
    }

    /// Whether there is no element, as in an array that was never filled.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The seven types of channel values, numbered as in `db_access.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum NativeType {
    /// Text of at most 40 bytes.
    String = 0,
    /// 16-bit integers.
    Short = 1,
    /// 32-bit floating point numbers.
    Float = 2,
    /// Indexes of up to 16 named states.
    Enum = 3,
    /// Bytes.
    Char = 4,
    /// 32-bit integers.
    Long = 5,
    /// 64-bit floating point numbers.
    Double = 6,
}

impl NativeType {
    /// All of them, by number.
    pub const ALL: [NativeType; 7] = [
        NativeType::String,
        NativeType::Short,
        NativeType::Float,
        NativeType::Enum,
        NativeType::Char,
        NativeType::Long,
        NativeType::Double,
    ];

    /// The type with the number `code`, 0 to 6.
    pub fn from_code(code: u16) -> Option<NativeType> {
        NativeType::ALL.get(usize::from(code)).copied()
    }

    /// The number, 0 to 6.
    pub fn code(self) -> u16 {
        self as u16
    }
}

/// Which changes of a channel are reported: a set of `DBE_` bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mask(u16);

impl Mask {
    /// Changes of the value by more than the record's monitor deadband.
    pub const VALUE: Mask = Mask(1);
    /// Changes of the value by more than the record's archive deadband.
    pub const LOG: Mask = Mask(2);
    /// Changes of status or severity.
    pub const ALARM: Mask = Mask(4);
    /// Changes of limits, units or labels.
    pub const PROPERTY: Mask = Mask(8);

    /// Both sets together.
    pub const fn with(self, other: Mask) -> Mask {
        Mask(self.0 | other.0)
    }

    /// Whether the sets have a bit in common.
    pub const fn intersects(self, other: Mask) -> bool {
        self.0 & other.0 != 0
    }

    /// The bits as Channel Access sends them.
    pub const fn bits(self) -> u16 {
        self.0
    }
}

/// What is wanted of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Which changes are reported.
    pub mask: Mask,
    /// Set for channels that are read again and again instead of being monitored, with the time from one reading to the
    /// next. What is read counts as an update, whether it differs or not.
    pub poll: Option<Duration>,
    /// How urgent the server should find the channel's connection, from 0 to 99. Channels of different priorities have
    /// connections of their own.
    pub priority: u8,
    /// Whether units, limits and labels are wanted, too.
    pub metadata: bool,
}

impl From<Mask> for Subscription {
    /// Monitored, with priority 0 and without metadata.
    fn from(mask: Mask) -> Subscription {
        Subscription { mask, poll: None, priority: 0, metadata: false }
    }
}

/// A mask that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("mask `{0}` is not made of the letters v (value), l (log), a (alarm) and p (property)")]
pub struct MaskError(String);

impl FromStr for Mask {
    type Err = MaskError;

    /// Reads letters as in `va`, the form of the command topic of epics2kafka.
    fn from_str(text: &str) -> Result<Mask, MaskError> {
        let bits = text.chars().try_fold(0, |bits, letter| match letter {
            'v' => Some(bits | Mask::VALUE.0),
            'l' => Some(bits | Mask::LOG.0),
            'a' => Some(bits | Mask::ALARM.0),
            'p' => Some(bits | Mask::PROPERTY.0),
            _ => None,
        });
        bits.filter(|bits| *bits != 0).map(Mask).ok_or_else(|| MaskError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_read_from_letters() {
        assert_eq!("va".parse(), Ok(Mask::VALUE.with(Mask::ALARM)));
        assert_eq!("a".parse(), Ok(Mask::ALARM));
        assert_eq!("av".parse::<Mask>().map(Mask::bits), Ok(5));
        for bad in ["", "x", "v a", "V"] {
            assert_eq!(bad.parse::<Mask>(), Err(MaskError(bad.to_owned())));
        }
    }

    #[test]
    fn times_convert_to_milliseconds() {
        assert_eq!(Timestamp { seconds: 631_152_000, nanos: 999_999_999 }.unix_millis(), 631_152_000_999);
        assert_eq!(Timestamp { seconds: i64::MAX, nanos: 0 }.unix_millis(), i64::MAX);
    }

    #[test]
    fn native_types_have_their_numbers() {
        for (code, native) in (0..).zip(NativeType::ALL) {
            assert_eq!((native.code(), NativeType::from_code(code)), (code, Some(native)));
        }
        assert_eq!(NativeType::from_code(7), None);
    }
}
