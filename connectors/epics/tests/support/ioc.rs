//! An EPICS IOC for tests that run in a multi-threaded runtime.

use std::net::SocketAddr;

use tokio::task::block_in_place;
use xtask::servers::{self, Server, without};

pub struct Ioc(servers::Ioc);

impl Ioc {
    /// An IOC with these records; none if the person who runs the tests asked to do without.
    pub fn start(database: &str) -> Option<Ioc> {
        Self::launch(|| servers::Ioc::start(database))
    }

    /// As [`Ioc::start`], with an access security file.
    pub fn start_secured(database: &str, access: &str) -> Option<Ioc> {
        Self::launch(|| servers::Ioc::start_secured(database, access))
    }

    /// caproto's server with these channels.
    pub fn start_caproto(channels: &[(&str, f64)]) -> Option<Ioc> {
        Self::launch(|| servers::Ioc::start_caproto(channels))
    }

    fn launch(start: impl FnOnce() -> servers::Result<servers::Ioc>) -> Option<Ioc> {
        if without("ioc") {
            return None;
        }
        Some(Ioc(block_in_place(start).expect("the ioc starts")))
    }

    pub fn address(&self) -> SocketAddr {
        self.0.addr_list().parse().expect("one address with its port")
    }

    pub fn put(&self, field: &str, value: impl ToString) {
        block_in_place(|| self.0.put(field, value)).expect("the channel is written");
    }

    pub fn put_all(&self, values: &[(&str, &str)]) {
        block_in_place(|| self.0.put_all(values)).expect("the channels are written");
    }

    /// A port for a repeater, to which the IOC sends its beacons.
    pub fn repeater_port(&self) -> u16 {
        self.0.repeater_port()
    }

    /// Connections stay open, nobody answers.
    pub fn freeze(&mut self) {
        block_in_place(|| self.0.pause()).expect("the ioc is frozen");
    }

    pub fn thaw(&mut self) {
        block_in_place(|| self.0.resume()).expect("the ioc is thawed");
    }

    pub fn kill(&mut self) {
        block_in_place(|| self.0.kill9()).expect("the ioc is killed");
    }

    pub fn restart(&mut self) {
        block_in_place(|| self.0.start_again()).expect("the ioc starts again");
    }
}
