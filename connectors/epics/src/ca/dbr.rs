//! Payloads of values: `DBR_TIME` and `DBR_CTRL` of the seven native types, without I/O (`db_access.h` of EPICS base).
//!
//! The number of such a type is that of the native type plus a constant. Everything is big-endian.

use bytes::Buf;

use crate::{
    alarm::{Severity, Status},
    channel::{NativeType, Sample, Timestamp, Value},
};

/// The difference between `DBR_TIME_X` and `DBR_X`.
const TIME: u16 = 14;
/// The difference between `DBR_CTRL_X` and `DBR_X`.
const CONTROL: u16 = 28;
/// 1990-01-01T00:00:00Z, the beginning of EPICS time, in seconds since 1970.
const EPICS_EPOCH: i64 = 631_152_000;
/// The bytes of a `DBR_STRING`.
const STRING_LEN: usize = 40;
/// The most labels that a `DBR_CTRL_ENUM` holds, and the bytes of each.
const LABELS: (usize, usize) = (16, 26);
/// The bytes of a unit.
const UNITS_LEN: usize = 8;

/// What can come in a payload besides its elements, in bytes: no metadata of any type is longer.
pub const MAX_METADATA: u32 = 512;

/// The number of `DBR_TIME_X` for a native type.
pub fn time_type(native: NativeType) -> u16 {
    native.code() + TIME
}

/// The number of `DBR_CTRL_X` for a native type.
pub fn control_type(native: NativeType) -> u16 {
    native.code() + CONTROL
}

/// Why a payload could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DbrError {
    /// The type is not of the kind that was asked for.
    #[error("type {found} is not one of {first} to {last}")]
    WrongType {
        /// The type of the payload.
        found: u16,
        /// The first type of the kind.
        first: u16,
        /// The last type of the kind.
        last: u16,
    },
    /// The payload ends before its elements do.
    #[error("{count} elements of type {data_type} do not fit a payload of {len} bytes")]
    TooShort {
        /// The type of the payload.
        data_type: u16,
        /// The number of elements that it should hold.
        count: u32,
        /// The length of the payload.
        len: usize,
    },
}

/// Decodes `count` elements of type `DBR_TIME_X` with their status, severity and time stamp.
///
/// # Errors
///
/// If `data_type` is not a `DBR_TIME_X` or the payload is too short.
pub fn decode_time(data_type: u16, count: u32, payload: &[u8]) -> Result<Sample, DbrError> {
    let native = native_type(data_type, TIME)?;
    // Padding lets the first element begin at a multiple of its size.
    let offset = match native {
        NativeType::String | NativeType::Float | NativeType::Long => 12,
        NativeType::Short | NativeType::Enum => 14,
        NativeType::Char => 15,
        NativeType::Double => 16,
    };
    let too_short = || DbrError::TooShort { data_type, count, len: payload.len() };
    let (mut head, elements) = payload.split_at_checked(offset).ok_or_else(too_short)?;
    let value = elements_of(native, count, elements).ok_or_else(too_short)?;
    let (status, severity) = (Status::from_code(head.get_u16()), Severity::from_code(head.get_u16()));
    let (seconds, nanos) = (i64::from(head.get_u32()), head.get_u32());
    // Nanoseconds over a second are nothing a server should send; they are time all the same.
    let time =
        Timestamp { seconds: EPICS_EPOCH + seconds + i64::from(nanos / 1_000_000_000), nanos: nanos % 1_000_000_000 };
    Ok(Sample { status, severity, time, value })
}

/// What `DBR_CTRL_X` tells about a channel besides its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Control {
    /// Why the channel is in alarm, if it is.
    pub status: Status,
    /// How bad that is.
    pub severity: Severity,
    /// The unit; empty for text and states, and where none is set.
    pub units: String,
    /// The number of decimal places to show; for floating point numbers only.
    pub precision: Option<i16>,
    /// The limits; for numbers only.
    pub limits: Option<Limits>,
    /// The names of the states, by index; for states only.
    pub labels: Vec<String>,
    /// The value.
    pub value: Value,
}

/// The limits of a number. Where a record sets none, the server sends zeros or NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// The range to show.
    pub display: Range,
    /// At or outside of which the record is in LOLO or HIHI.
    pub alarm: Range,
    /// At or outside of which the record is in LOW or HIGH.
    pub warning: Range,
    /// The range that can be written.
    pub control: Range,
}

/// A lower and an upper limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The lower limit.
    pub lower: f64,
    /// The upper limit.
    pub upper: f64,
}

/// Decodes `count` elements of type `DBR_CTRL_X` with units, labels, limits and precision.
///
/// # Errors
///
/// If `data_type` is not a `DBR_CTRL_X` or the payload is too short.
pub fn decode_control(data_type: u16, count: u32, payload: &[u8]) -> Result<Control, DbrError> {
    let native = native_type(data_type, CONTROL)?;
    let offset = match native {
        NativeType::String => 4,
        NativeType::Short => 28,
        NativeType::Float => 48,
        NativeType::Enum => 4 + 2 + LABELS.0 * LABELS.1,
        NativeType::Char => 21,
        NativeType::Long => 44,
        NativeType::Double => 80,
    };
    let too_short = || DbrError::TooShort { data_type, count, len: payload.len() };
    let (mut head, elements) = payload.split_at_checked(offset).ok_or_else(too_short)?;
    let value = elements_of(native, count, elements).ok_or_else(too_short)?;
    let mut control = Control {
        status: Status::from_code(head.get_u16()),
        severity: Severity::from_code(head.get_u16()),
        units: String::new(),
        precision: None,
        limits: None,
        labels: Vec::new(),
        value,
    };
    match native {
        NativeType::String => return Ok(control),
        NativeType::Enum => {
            let used = usize::from(head.get_u16()).min(LABELS.0);
            control.labels = head.chunks_exact(LABELS.1).take(used).map(text).collect();
            return Ok(control);
        }
        NativeType::Float | NativeType::Double => {
            control.precision = Some(head.get_i16());
            head.advance(2);
        }
        NativeType::Short | NativeType::Char | NativeType::Long => {}
    }
    control.units = text(&head[..UNITS_LEN]);
    head.advance(UNITS_LEN);
    let mut limit = || match native {
        NativeType::Short => f64::from(head.get_i16()),
        NativeType::Char => f64::from(head.get_u8()),
        NativeType::Long => f64::from(head.get_i32()),
        NativeType::Float => f64::from(head.get_f32()),
        _ => head.get_f64(),
    };
    // The order is upper display, lower display, upper alarm, upper warning, lower warning, lower alarm, then control.
    let [display_upper, display_lower, hihi, high, low, lolo, control_upper, control_lower] =
        std::array::from_fn(|_| limit());
    control.limits = Some(Limits {
        display: Range { lower: display_lower, upper: display_upper },
        alarm: Range { lower: lolo, upper: hihi },
        warning: Range { lower: low, upper: high },
        control: Range { lower: control_lower, upper: control_upper },
    });
    Ok(control)
}

fn native_type(data_type: u16, kind: u16) -> Result<NativeType, DbrError> {
    data_type.checked_sub(kind).and_then(NativeType::from_code).ok_or(DbrError::WrongType {
        found: data_type,
        first: kind,
        last: kind + NativeType::Double.code(),
    })
}

/// The first `count` elements; none if there are fewer.
fn elements_of(native: NativeType, count: u32, bytes: &[u8]) -> Option<Value> {
    let count = usize::try_from(count).ok()?;
    let of_size = |size: usize| {
        let elements = bytes.get(..count.checked_mul(size)?)?;
        Some(elements.chunks_exact(size))
    };
    Some(match native {
        // Servers leave out the unused rest of a single text.
        NativeType::String if count == 1 => Value::String(vec![text(&bytes[..bytes.len().min(STRING_LEN)])]),
        NativeType::String => Value::String(of_size(STRING_LEN)?.map(text).collect()),
        NativeType::Short => Value::Short(of_size(2)?.map(|mut b| b.get_i16()).collect()),
        NativeType::Float => Value::Float(of_size(4)?.map(|mut b| b.get_f32()).collect()),
        NativeType::Enum => Value::Enum(of_size(2)?.map(|mut b| b.get_u16()).collect()),
        NativeType::Char => Value::Char(bytes.get(..count)?.to_vec()),
        NativeType::Long => Value::Long(of_size(4)?.map(|mut b| b.get_i32()).collect()),
        NativeType::Double => Value::Double(of_size(8)?.map(|mut b| b.get_f64()).collect()),
    })
}

/// Text up to its first zero byte: UTF-8, or else ISO 8859-1, in which older databases have their units.
pub(crate) fn text(bytes: &[u8]) -> String {
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// HIHI, MAJOR, 2 s and 5 ns into 1990, then the padding of the type.
    fn time_payload(padding: usize, elements: &[u8]) -> Vec<u8> {
        let mut payload = vec![0, 3, 0, 2, 0, 0, 0, 2, 0, 0, 0, 5];
        payload.resize(payload.len() + padding, 0xee);
        payload.extend_from_slice(elements);
        payload
    }

    fn sample(value: Value) -> Sample {
        let time = Timestamp { seconds: 631_152_002, nanos: 5 };
        Sample { status: Status::HiHi, severity: Severity::Major, time, value }
    }

    #[test]
    fn every_native_type_is_decoded_with_status_and_time() {
        let mut two_texts = [0; 80];
        two_texts[..2].copy_from_slice(b"on");
        two_texts[40..43].copy_from_slice(b"off");
        let cases: [(u16, u32, usize, &[u8], Value); 7] = [
            (14, 2, 0, &two_texts, Value::String(vec!["on".into(), "off".into()])),
            (15, 2, 2, &[0xff, 0xff, 0, 2], Value::Short(vec![-1, 2])),
            (16, 1, 0, &[0x3f, 0xc0, 0, 0], Value::Float(vec![1.5])),
            (17, 1, 2, &[0, 9], Value::Enum(vec![9])),
            (18, 3, 3, &[1, 2, 255], Value::Char(vec![1, 2, 255])),
            (19, 1, 0, &[0xff, 0xff, 0xff, 0xfe], Value::Long(vec![-2])),
            (20, 1, 4, &[0x40, 0x57, 0xc0, 0, 0, 0, 0, 0], Value::Double(vec![95.0])),
        ];
        for (data_type, count, padding, elements, value) in cases {
            let native = value.native_type();
            assert_eq!(time_type(native), data_type);
            let payload = time_payload(padding, elements);
            assert_eq!(decode_time(data_type, count, &payload), Ok(sample(value)));
            // A byte less does not hold the elements, except for a single text.
            let len = payload.len() - 1;
            let too_short = Err(DbrError::TooShort { data_type, count, len });
            assert_eq!(decode_time(data_type, count, &payload[..len]), too_short);
        }
    }

    #[test]
    fn arrays_may_be_empty_and_payloads_padded() {
        assert_eq!(decode_time(20, 0, &time_payload(4, &[])), Ok(sample(Value::Double(vec![]))));
        assert_eq!(decode_time(15, 1, &time_payload(2, &[0, 1, 0, 0, 0])), Ok(sample(Value::Short(vec![1]))));
    }

    #[test]
    fn a_single_text_may_be_cut_short() {
        assert_eq!(decode_time(14, 1, &time_payload(0, b"on\0\0")), Ok(sample(Value::String(vec!["on".into()]))));
        let latin = time_payload(0, b"\xb0C\0\0");
        assert_eq!(decode_time(14, 1, &latin), Ok(sample(Value::String(vec!["°C".into()]))));
    }

    #[test]
    fn excess_nanoseconds_carry_over() {
        let mut payload = time_payload(0, &[0, 0, 0, 1]);
        payload[8..12].copy_from_slice(&3_000_000_007_u32.to_be_bytes());
        let time = decode_time(19, 1, &payload).map(|sample| sample.time);
        assert_eq!(time, Ok(Timestamp { seconds: 631_152_005, nanos: 7 }));
    }

    #[test]
    fn huge_counts_and_other_types_are_errors() {
        let payload = time_payload(4, &[0; 8]);
        assert!(matches!(decode_time(20, u32::MAX, &payload), Err(DbrError::TooShort { .. })));
        assert!(matches!(decode_time(6, 1, &payload), Err(DbrError::WrongType { found: 6, first: 14, last: 20 })));
        assert!(matches!(decode_time(21, 1, &payload), Err(DbrError::WrongType { .. })));
        assert!(matches!(decode_control(27, 1, &payload), Err(DbrError::WrongType { .. })));
        assert!(matches!(decode_control(35, 1, &payload), Err(DbrError::WrongType { .. })));
    }

    fn limits(low: f64) -> Limits {
        Limits {
            display: Range { lower: low, upper: 100.0 },
            alarm: Range { lower: 10.0, upper: 90.0 },
            warning: Range { lower: 20.0, upper: 80.0 },
            control: Range { lower: 1.0, upper: 99.0 },
        }
    }

    /// HIGH, MINOR, then `head`, the eight limits as `encode` writes them, and the tail.
    fn control_payload<const N: usize>(head: &[u8], low: i8, encode: fn(i8) -> [u8; N], tail: &[u8]) -> Vec<u8> {
        let mut payload = vec![0, 4, 0, 1];
        payload.extend_from_slice(head);
        payload.extend([100, low, 90, 80, 20, 10, 99, 1].into_iter().flat_map(encode));
        payload.extend_from_slice(tail);
        payload
    }

    #[test]
    fn numbers_come_with_units_precision_and_limits() {
        let units = b"degC\0\0\0\0";
        let precise = [&[0, 3, 0, 0], &units[..]].concat();
        let cases = [
            (
                29,
                control_payload(units, -5, |v| i16::from(v).to_be_bytes(), &[0, 7]),
                Value::Short(vec![7]),
                None,
                -5.0,
            ),
            (
                30,
                control_payload(&precise, -5, |v| f32::from(v).to_be_bytes(), &[0x3f, 0xc0, 0, 0]),
                Value::Float(vec![1.5]),
                Some(3),
                -5.0,
            ),
            (32, control_payload(units, 5, |v| [v as u8], &[0, 7]), Value::Char(vec![7]), None, 5.0),
            (
                33,
                control_payload(units, -5, |v| i32::from(v).to_be_bytes(), &[0, 0, 0, 7]),
                Value::Long(vec![7]),
                None,
                -5.0,
            ),
            (
                34,
                control_payload(&precise, -5, |v| f64::from(v).to_be_bytes(), &[0x40, 0x57, 0xc0, 0, 0, 0, 0, 0]),
                Value::Double(vec![95.0]),
                Some(3),
                -5.0,
            ),
        ];
        for (data_type, payload, value, precision, low) in cases {
            assert_eq!(control_type(value.native_type()), data_type);
            let expected = Control {
                status: Status::High,
                severity: Severity::Minor,
                units: "degC".into(),
                precision,
                limits: Some(limits(low)),
                labels: vec![],
                value,
            };
            assert_eq!(decode_control(data_type, 1, &payload), Ok(expected));
            assert!(matches!(
                decode_control(data_type, 1, &payload[..payload.len() - 1]),
                Err(DbrError::TooShort { .. })
            ));
        }
    }

    #[test]
    fn states_come_with_their_labels() {
        let mut payload = vec![0, 7, 0, 1, 0, 2];
        for label in ["OPEN", "CLOSED"] {
            let start = payload.len();
            payload.extend_from_slice(label.as_bytes());
            payload.resize(start + 26, 0);
        }
        payload.resize(422, 0);
        payload.extend_from_slice(&[0, 1]);
        let control = decode_control(31, 1, &payload).expect("a whole DBR_CTRL_ENUM");
        assert_eq!((control.status, control.labels), (Status::State, vec!["OPEN".to_owned(), "CLOSED".to_owned()]));
        assert_eq!((control.value, control.limits), (Value::Enum(vec![1]), None));

        payload[5] = 200;
        let control = decode_control(31, 1, &payload).expect("a number of labels over 16");
        assert_eq!(control.labels.len(), 16);
    }

    #[test]
    fn text_has_a_status_only() {
        let mut payload = vec![0, 0, 0, 0];
        payload.extend_from_slice(b"hello\0");
        let control = decode_control(28, 1, &payload).expect("a whole DBR_CTRL_STRING");
        assert_eq!((control.value, control.units.as_str()), (Value::String(vec!["hello".into()]), ""));
    }
}
