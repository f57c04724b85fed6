//! What librdkafka handed out, freed once.
#![allow(unsafe_code, reason = "librdkafka frees what it hands out")]

use std::ptr::NonNull;

use rdkafka::error::KafkaError;

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
