//! What librdkafka handed out, freed once; and what all requests that the rdkafka crate lacks have in common.
#![allow(unsafe_code, reason = "librdkafka frees what it hands out")]

use std::{
    ffi::{CStr, c_char},
    ptr::{self, NonNull},
    time::Duration,
};

use rdkafka::{
    ClientContext, bindings as c,
    client::Client,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode as Code},
};

/// What a request came to.
pub(crate) type Answer<T> = Result<T, KafkaError>;
/// A request's options.
pub(crate) type Options = *mut c::rd_kafka_AdminOptions_t;

/// What librdkafka handed out, and the function that takes it back.
pub(crate) struct Owned<T> {
    pointer: NonNull<T>,
    free: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    /// Takes charge of a pointer; null is an error.
    ///
    /// # Safety
    ///
    /// Unless null, `pointer` must come from librdkafka, `free` must be its function for that type, and nobody else may
    /// free it.
    pub(crate) unsafe fn new(pointer: *mut T, free: unsafe extern "C" fn(*mut T)) -> Result<Self, KafkaError> {
        match NonNull::new(pointer) {
            Some(pointer) => Ok(Self { pointer, free }),
            None => Err(KafkaError::AdminOpCreation("librdkafka gave nothing".into())),
        }
    }

    pub(crate) fn get(&self) -> *mut T {
        self.pointer.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: by the contract of `new`, and `drop` runs once.
        unsafe { (self.free)(self.pointer.as_ptr()) }
    }
}

/// Sends a request and waits for its answer, which librdkafka gives within the limit in any case, without one within
/// `socket.timeout.ms`.
///
/// `send` is called once. What it is given lives during that call: the client, the options, null without a limit, and the
/// queue on which the answer comes.
pub(crate) fn ask<C: ClientContext>(
    client: &Client<C>,
    limit: Option<(c::rd_kafka_admin_op_t, Duration)>,
    send: impl FnOnce(*mut c::rd_kafka_t, Options, *mut c::rd_kafka_queue_t) -> Answer<()>,
) -> Answer<Owned<c::rd_kafka_event_t>> {
    let rk = client.native_ptr();
    // SAFETY: `rk` is the pointer of a client that lives to the end of this function. Each pointer that comes back goes into
    // an `Owned` with the function that frees its type; a text for what is wrong with a limit is not asked for.
    let answer = unsafe {
        let queue = Owned::new(c::rd_kafka_queue_new(rk), c::rd_kafka_queue_destroy)?;
        let options = match limit {
            None => None,
            Some((kind, limit)) => {
                let options = Owned::new(c::rd_kafka_AdminOptions_new(rk, kind), c::rd_kafka_AdminOptions_destroy)?;
                let limit = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
                failed(c::rd_kafka_AdminOptions_set_request_timeout(options.get(), limit, ptr::null_mut(), 0))?;
                Some(options)
            }
        };
        send(rk, options.as_ref().map_or(ptr::null_mut(), Owned::get), queue.get())?;
        Owned::new(c::rd_kafka_queue_poll(queue.get(), -1), c::rd_kafka_event_destroy)?
    };
    // SAFETY: `answer` is an event.
    failed(unsafe { c::rd_kafka_event_error(answer.get()) })?;
    Ok(answer)
}

/// Hands the log lines that wait in the client's queue to its context: among them why connections fail. Of the rdkafka crate's
/// clients, admin clients do not look at that queue.
pub(crate) fn hear<C: ClientContext>(client: &Client<C>) {
    // SAFETY: the pointer of the client, which lives to the end of this function. The queue and each event go into an `Owned`
    // with the function that frees its type; texts belong to the event and are copied.
    unsafe {
        let main = c::rd_kafka_queue_get_main(client.native_ptr());
        let Ok(queue) = Owned::new(main, c::rd_kafka_queue_destroy) else { return };
        while let Ok(event) = Owned::new(c::rd_kafka_queue_poll(queue.get(), 0), c::rd_kafka_event_destroy) {
            let (mut facility, mut message, mut level) = (ptr::null(), ptr::null(), 0);
            // Of an event that is no log line it says so.
            if c::rd_kafka_event_log(event.get(), &mut facility, &mut message, &mut level) == 0 {
                let texts = (text(facility).unwrap_or_default(), text(message).unwrap_or_default());
                client.context().log(RDKafkaLogLevel::Info, &texts.0, &texts.1);
            }
        }
    }
}

/// The error that a code stands for, if it stands for one.
pub(crate) fn failed(code: c::rd_kafka_resp_err_t) -> Answer<()> {
    match Code::from(code) {
        Code::NoError => Ok(()),
        code => Err(KafkaError::AdminOp(code)),
    }
}

/// A copy of a text.
///
/// # Safety
///
/// Unless null, the pointer must be that of a C string that lives during the call.
pub(crate) unsafe fn text(pointer: *const c_char) -> Option<String> {
    // SAFETY: by the contract of this function.
    (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned())
}
