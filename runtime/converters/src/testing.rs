//! What the tests of all converters need.

use connect_api::{Result, Step, Topic};

/// Any topic.
pub(crate) fn topic() -> Topic {
    "topic".into()
}

/// The result of a conversion that needs no work before.
pub(crate) fn done<T>(result: Result<Step<T>>) -> T {
    match result {
        Ok(Step::Done(made)) => made,
        Ok(Step::Wait(_)) => panic!("has to wait"),
        Err(e) => panic!("{e:?}"),
    }
}

/// The message of a conversion that fails.
pub(crate) fn failure<T>(result: Result<Step<T>>) -> String {
    match result {
        Err(e) => e.message().to_owned(),
        Ok(_) => panic!("did not fail"),
    }
}
