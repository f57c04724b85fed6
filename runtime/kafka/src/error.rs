//! From librdkafka's error codes to the one [`Error`], classified, with the way out where there is one.

use connect_api::{Error, ErrorClass};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::settings::{Role, in_javas_names};

/// The class of a code: what passes by itself, what belongs to one record, what needs a person.
pub fn class(code: Code) -> ErrorClass {
    match code {
        Code::MessageSizeTooLarge
        | Code::InvalidRecord
        | Code::InvalidMessageSize
        | Code::InvalidMessage
        | Code::InvalidTimestamp => ErrorClass::Data,
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::SSL
        | Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::InvalidConfig
        | Code::InvalidTopic
        | Code::InvalidGroupId
        | Code::InvalidSessionTimeout
        | Code::InconsistentGroupProtocol
        | Code::FencedInstanceId
        | Code::UnsupportedFeature
        | Code::UnsupportedSASLMechanism
        | Code::UnsupportedVersion
        | Code::UnknownTopicOrPartition
        | Code::UnknownTopic
        | Code::PolicyViolation
        | Code::InvalidPartitions
        | Code::InvalidReplicationFactor
        | Code::InvalidReplicaAssignment
        | Code::Fatal
        | Code::Fenced
        | Code::InvalidArgument => ErrorClass::Fatal,
        _ => ErrorClass::Retriable,
    }
}

fn way_out(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::Authentication | Code::SaslAuthenticationFailed => {
            "check sasl.mechanism and sasl.jaas.config (user and password)"
        }
        Code::SSL => "check ssl.truststore.* (does it hold the broker's CA?) and ssl.keystore.*",
        Code::TopicAuthorizationFailed => "the principal needs an ACL for this topic",
        Code::GroupAuthorizationFailed => "the principal needs an ACL for this consumer group",
        Code::UnknownTopicOrPartition | Code::UnknownTopic => {
            "create the topic, or let the broker create it (auto.create.topics.enable)"
        }
        Code::InvalidTopic => {
            "a topic's name has 1 to 249 of the characters a to z, A to Z, 0 to 9, '.', '_' and '-', and is not . or .."
        }
        Code::ClusterAuthorizationFailed => "the principal needs an ACL for the cluster",
        Code::InvalidReplicationFactor => "there are not so many brokers",
        Code::InvalidSessionTimeout => {
            "set session.timeout.ms between group.min.session.timeout.ms and group.max.session.timeout.ms of the broker"
        }
        Code::MessageSizeTooLarge => "raise producer.override.max.request.size and the topic's max.message.bytes",
        _ => return None,
    })
}

/// The code of an error, also of an admin request, which the rdkafka crate leaves out.
pub(crate) fn code_of(error: &KafkaError) -> Option<Code> {
    match error {
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    }
}

/// An error of what was being done, with librdkafka's error as its cause.
pub fn kafka_error(doing: impl Into<String>, error: KafkaError) -> Error {
    let code = code_of(&error);
    let mut message = doing.into();
    if let Some(hint) = code.and_then(way_out) {
        message = format!("{message} ({hint})");
    }
    let made = match code.map_or(ErrorClass::Fatal, class) {
        ErrorClass::Retriable => Error::retriable(message),
        ErrorClass::Data => Error::data(message),
        ErrorClass::Fatal => Error::fatal(message),
    };
    let made = match code {
        Some(Code::MessageSizeTooLarge) => made.exception("org.apache.kafka.common.errors.RecordTooLargeException"),
        Some(Code::InvalidSessionTimeout) => {
            made.exception("org.apache.kafka.common.errors.InvalidSessionTimeoutException")
        }
        _ => made,
    };
    made.caused_by(error)
}

/// Whether Kafka refused a whole batch because of single records in it, so that a record of it may be all right: it says so
/// for time stamps and for what it calls invalid records.
pub fn refused_with_others(error: &Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(e) = source {
        if let Some(code) = e.downcast_ref::<KafkaError>().and_then(code_of) {
            return matches!(code, Code::InvalidTimestamp | Code::InvalidRecord | Code::InvalidDifferentRecord);
        }
        source = e.source();
    }
    false
}

/// Whether Kafka refused because the principal may not do it, or because the broker cannot.
pub fn not_permitted(error: &Error) -> bool {
    let code = kafkas_code(error);
    not_supported(error) || matches!(code, Some(Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed))
}

/// Whether the broker does not know such requests, as the embedded one, or one that is too old.
pub fn not_supported(error: &Error) -> bool {
    matches!(kafkas_code(error), Some(Code::UnsupportedVersion | Code::UnsupportedFeature))
}

/// The first code of librdkafka's among the causes.
fn kafkas_code(error: &Error) -> Option<Code> {
    let mut source = std::error::Error::source(error);
    while let Some(e) = source {
        if let Some(code) = e.downcast_ref::<KafkaError>().and_then(code_of) {
            return Some(code);
        }
        source = e.source();
    }
    None
}

/// Why librdkafka refuses settings of a client together, in the names that Java's client has for them.
pub(crate) fn not_created(role: Role, what: &str, error: &KafkaError) -> Error {
    let text = match error {
        KafkaError::ClientCreation(text) => text.clone(),
        other => other.to_string(),
    };
    Error::fatal(format!("creating {what}: {}", in_javas_names(role, text.trim_end_matches(['\0', '.']))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outages_are_retriable_and_wrong_passwords_fatal() {
        assert_eq!(class(Code::BrokerTransportFailure), ErrorClass::Retriable);
        assert_eq!(class(Code::AllBrokersDown), ErrorClass::Retriable);
        let e = kafka_error("creating", KafkaError::AdminOp(Code::RequestTimedOut));
        assert_eq!(e.class(), ErrorClass::Retriable);
        let e = kafka_error("consuming", KafkaError::Global(Code::Authentication));
        assert_eq!(e.class(), ErrorClass::Fatal);
        assert!(e.message().contains("sasl.jaas.config"), "{e}");
        assert!(!not_permitted(&e));
        let e = kafka_error("creating", KafkaError::AdminOp(Code::TopicAuthorizationFailed)).context("more");
        assert!(not_permitted(&e), "{e:?}");
    }

    #[test]
    fn settings_that_exclude_each_other_are_told_in_javas_names() {
        let settings = connect_api::Settings::from([("enable.idempotence", "true"), ("acks", "1")]);
        let native = crate::settings::translate(Role::Producer, &settings).expect("each by itself is right");
        let made: Result<rdkafka::producer::BaseProducer, _> = native.config().create();
        let error = made.err().expect("refused together");
        let text = not_created(Role::Producer, "the producer", &error).message().to_owned();
        assert!(text.starts_with("creating the producer: `acks` must be"), "{text}");
    }
}
