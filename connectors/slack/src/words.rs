//! What Slack's words say must be done.

use connect_api::ErrorClass;

/// The class of an error by the word that Slack answers with; `None` if the word is not known.
pub fn class_of(word: &str) -> Option<ErrorClass> {
    Some(match word.trim() {
        "ratelimited"
        | "rate_limited"
        | "message_limit_exceeded"
        | "internal_error"
        | "fatal_error"
        | "service_unavailable"
        | "request_timeout"
        | "rollup_error" => ErrorClass::Retriable,
        "invalid_payload"
        | "msg_too_long"
        | "msg_blocks_too_long"
        | "no_text"
        | "invalid_blocks"
        | "invalid_blocks_format"
        | "invalid_attachments"
        | "invalid_arguments"
        | "too_many_attachments" => ErrorClass::Data,
        "invalid_auth"
        | "invalid_token"
        | "not_authed"
        | "account_inactive"
        | "token_revoked"
        | "token_expired"
        | "missing_scope"
        | "channel_not_found"
        | "user_not_found"
        | "not_in_channel"
        | "is_archived"
        | "restricted_action"
        | "no_service"
        | "no_service_id"
        | "no_active_hooks"
        | "no_team"
        | "team_disabled"
        | "action_prohibited"
        | "channel_is_archived"
        | "posting_to_general_channel_denied" => ErrorClass::Fatal,
        _ => return None,
    })
}

/// Whether the word says that the credentials are no good.
pub fn denies(word: &str) -> bool {
    ["invalid_auth", "invalid_token", "not_authed", "account_inactive", "token_revoked", "token_expired"]
        .contains(&word)
}

/// Whether the word says that the channel cannot be posted to.
pub fn is_about_channel(word: &str) -> bool {
    ["channel_not_found", "not_in_channel", "is_archived", "channel_is_archived", "restricted_action"].contains(&word)
}

/// Whether the word says that the message that is to be changed, or the thread that is to go on, is not there any more, or
/// cannot be changed.
pub fn is_gone(word: &str) -> bool {
    [
        "message_not_found",
        "thread_not_found",
        "invalid_thread_ts",
        "cannot_reply_to_message",
        "restricted_action_thread_locked",
        "cant_update_message",
        "cant_delete_message",
        "edit_window_closed",
    ]
    .contains(&word)
}

/// What a person must do about a word of the Web API.
pub fn way_out(word: &str) -> &'static str {
    match word {
        "missing_scope" => "give the app the scope chat:write and install it again",
        "not_in_channel" => "invite the app to the channel",
        "channel_not_found" => {
            "correct slack.channel or slack.rules, or invite the app to the channel if it is private"
        }
        "is_archived" | "channel_is_archived" => "unarchive the channel, or correct slack.channel or slack.rules",
        _ if denies(word) => "correct slack.token",
        _ => "see what Slack's documentation of chat.postMessage says of it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_classified() {
        assert_eq!(class_of("invalid_payload\n"), Some(ErrorClass::Data));
        assert_eq!(class_of("channel_is_archived"), Some(ErrorClass::Fatal));
        assert_eq!(class_of("rate_limited"), Some(ErrorClass::Retriable));
        assert_eq!(class_of("<html>"), None);
        assert!(denies("token_expired") && !denies("not_in_channel") && is_gone("message_not_found"));
    }
}
