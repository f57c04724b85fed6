//! Brokers that librdkafka has dropped for good are added again.
//!
//! A broker that begins anew, or that was halted, answers for a moment that the cluster has topics and no brokers.
//! librdkafka (2.10 and later) takes that for the truth, ends its connections and forgets every broker, those of
//! `bootstrap.servers` among them, and nothing makes it look for one again: its issue 5301. A client in that state can be
//! told by its statistics, which have no broker.
//!
//! The rdkafka crate does not offer the call that adds brokers, so this file makes it. Why that is sound: a [`Client`] is
//! only given by the client whose statistics are being told, see [`Context`](crate::client::Context), and those are told
//! by calls of the client that poll it, so that it is alive. The call may be made on any thread, and copies the text.
#![allow(unsafe_code, reason = "a call of librdkafka that the rdkafka crate lacks")]

use std::{
    ffi::CString,
    ptr::NonNull,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use rdkafka::{ClientContext, bindings as c, client::Client as RdClient};

use crate::settings::ClientSettings;

/// In so many statistics in a row there has to be no broker.
const SEEN: u32 = 2;

/// The client that a context belongs to, once that is known.
#[derive(Debug, Default)]
pub(crate) struct Revival {
    client: OnceLock<Client>,
    bare: AtomicU32,
}

#[derive(Debug)]
struct Client {
    pointer: NonNull<c::rd_kafka_t>,
    brokers: CString,
}

// SAFETY: librdkafka's client may be used by any thread.
unsafe impl Send for Client {}
// SAFETY: As above; it has locks of its own.
unsafe impl Sync for Client {}

impl Revival {
    /// To be called when the client was made.
    pub(crate) fn of<C: ClientContext>(&self, client: &RdClient<C>, settings: &ClientSettings) {
        let brokers = settings.native.get("bootstrap.servers").and_then(|list| CString::new(list.as_str()).ok());
        if let Some((pointer, brokers)) = NonNull::new(client.native_ptr()).zip(brokers) {
            // A context belongs to one client.
            let _ = self.client.set(Client { pointer, brokers });
        }
    }

    /// To be called with each statistics that the client tells, and by nothing else: how many brokers it knows. Answers
    /// whether some were added.
    pub(crate) fn look(&self, brokers: usize) -> bool {
        let bare = if brokers == 0 { self.bare.fetch_add(1, Ordering::Relaxed) + 1 } else { 0 };
        self.bare.store(bare, Ordering::Relaxed);
        let Some(client) = self.client.get().filter(|_| bare >= SEEN) else { return false };
        self.bare.store(0, Ordering::Relaxed);
        // SAFETY: The client tells its statistics, so it is alive; the text ends with a zero and lives as long as the call.
        let added = unsafe { c::rd_kafka_brokers_add(client.pointer.as_ptr(), client.brokers.as_ptr()) };
        added > 0
    }
}

#[cfg(test)]
mod tests {
    use connect_api::Settings;
    use rdkafka::consumer::{BaseConsumer, Consumer as _};

    use super::*;
    use crate::{
        client::Context,
        settings::{Role, translate},
    };

    #[test]
    fn brokers_are_added_when_there_are_none_for_a_while() {
        let java = Settings::from([("bootstrap.servers", "127.0.0.1:1,127.0.0.1:2"), ("group.id", "g")]);
        let settings = translate(Role::Consumer, &java).expect("settings");
        let consumer: BaseConsumer<Context> =
            settings.config().create_with_context(Context::default()).expect("a client, which connects later");
        let revival = Revival::default();
        assert!(!revival.look(0) && !revival.look(0), "nobody knows what to add");
        revival.of(consumer.client(), &settings);
        assert!(!revival.look(2) && !revival.look(0) && !revival.look(1) && !revival.look(0), "not twice in a row");
        assert!(revival.look(0));
        assert!(!revival.look(0), "it takes a while to connect");
        assert!(revival.look(0));
    }
}
