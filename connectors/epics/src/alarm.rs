//! Alarm severities and statuses, as every EPICS record carries them (`alarm.h` of EPICS base).

use std::fmt;

/// How bad the state of a channel is. Ordered from [`NoAlarm`](Severity::NoAlarm) to [`Invalid`](Severity::Invalid).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// All is well.
    NoAlarm,
    /// A minor alarm, such as a value over its HIGH limit.
    Minor,
    /// A major alarm, such as a value over its HIHI limit.
    Major,
    /// The value cannot be trusted.
    Invalid,
}

impl Severity {
    /// The severity with the number `code`. Numbers that EPICS does not define are [`Invalid`](Severity::Invalid):
    /// nothing vouches for a value that comes with one.
    pub fn from_code(code: u16) -> Severity {
        match code {
            0 => Severity::NoAlarm,
            1 => Severity::Minor,
            2 => Severity::Major,
            _ => Severity::Invalid,
        }
    }

    /// The number of EPICS: 0 to 3.
    pub fn code(self) -> u16 {
        self as u16
    }

    /// The name of EPICS, such as `NO_ALARM` or `MAJOR`.
    pub fn name(self) -> &'static str {
        match self {
            Severity::NoAlarm => "NO_ALARM",
            Severity::Minor => "MINOR",
            Severity::Major => "MAJOR",
            Severity::Invalid => "INVALID",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

macro_rules! statuses {
    ($($code:literal $variant:ident $name:literal $doc:literal;)*) => {
        /// Why a channel is in alarm.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Status {
            $(#[doc = $doc] $variant,)*
            /// A number that EPICS does not define, as the server sent it.
            Other(u16),
        }

        impl Status {
            /// The status with the number `code`.
            pub fn from_code(code: u16) -> Status {
                match code {
                    $($code => Status::$variant,)*
                    other => Status::Other(other),
                }
            }

            /// The number of EPICS: 0 to 21 for those with a name.
            pub fn code(self) -> u16 {
                match self {
                    $(Status::$variant => $code,)*
                    Status::Other(code) => code,
                }
            }

            /// The name of EPICS, such as `NO_ALARM` or `HIHI`; `UNKNOWN` for [`Status::Other`].
            pub fn name(self) -> &'static str {
                match self {
                    $(Status::$variant => $name,)*
                    Status::Other(_) => "UNKNOWN",
                }
            }
        }
    };
}

statuses! {
    0 NoAlarm "NO_ALARM" "No alarm.";
    1 Read "READ" "Reading the device failed.";
    2 Write "WRITE" "Writing the device failed.";
    3 HiHi "HIHI" "At or over the upper alarm limit.";
    4 High "HIGH" "At or over the upper warning limit.";
    5 LoLo "LOLO" "At or under the lower alarm limit.";
    6 Low "LOW" "At or under the lower warning limit.";
    7 State "STATE" "A discrete state that is an alarm.";
    8 ChangeOfState "COS" "A change of state that is an alarm.";
    9 Comm "COMM" "Communication with the device failed.";
    10 Timeout "TIMEOUT" "The device did not answer in time.";
    11 HardwareLimit "HW_LIMIT" "A limit of the hardware was met.";
    12 Calc "CALC" "A calculation failed.";
    13 Scan "SCAN" "The record could not be scanned.";
    14 Link "LINK" "A link of the record is broken.";
    15 Soft "SOFT" "An alarm set by software.";
    16 BadSub "BAD_SUB" "The record's subroutine is missing or failed.";
    17 Undefined "UDF" "The value was never set.";
    18 Disable "DISABLE" "The record is disabled.";
    19 Simulated "SIMM" "The record is in simulation mode.";
    20 ReadAccess "READ_ACCESS" "Reading is not permitted.";
    21 WriteAccess "WRITE_ACCESS" "Writing is not permitted.";
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Status::Other(code) => write!(f, "UNKNOWN({code})"),
            known => f.write_str(known.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_the_numbers_and_names_of_epics() {
        let names = "NO_ALARM READ WRITE HIHI HIGH LOLO LOW STATE COS COMM TIMEOUT HW_LIMIT CALC SCAN LINK SOFT BAD_SUB \
                     UDF DISABLE SIMM READ_ACCESS WRITE_ACCESS";
        for (code, name) in (0..).zip(names.split(' ')) {
            let status = Status::from_code(code);
            assert_eq!((status.name(), status.code()), (name, code));
        }
        assert_eq!(Status::from_code(22), Status::Other(22));
        assert_eq!(Status::Other(99).to_string(), "UNKNOWN(99)");
    }

    #[test]
    fn severities_are_ordered_and_unknown_ones_are_invalid() {
        let all = [Severity::NoAlarm, Severity::Minor, Severity::Major, Severity::Invalid];
        for (code, severity) in (0..).zip(all) {
            assert_eq!((Severity::from_code(code), severity.code()), (severity, code));
        }
        assert!(all.is_sorted());
        assert_eq!(Severity::from_code(4), Severity::Invalid);
    }
}
