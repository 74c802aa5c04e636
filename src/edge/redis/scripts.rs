//! The scripts, and how a server comes to know them.

use std::sync::LazyLock;

use redis::Cmd;

use super::keys::Key;

/// A script, known to the server by its hash.
pub(super) struct Script(redis::Script, &'static str);

pub(super) static COMPACT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("windows_compact.lua")));
pub(super) static SETTLE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("claims.lua")));
pub(super) static NOTE_DOUBT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("doubt.lua")));
pub(super) static MARK: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("mark.lua")));
pub(super) static SET_CONTROL: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("control.lua")));

/// The commands that make every script known to a server.
pub(super) fn load_scripts() -> [Cmd; 5] {
    [COMPACT.load(), SETTLE.load(), NOTE_DOUBT.load(), SET_CONTROL.load(), MARK.load()]
}

impl Script {
    fn new(source: &'static str) -> Self {
        Self(redis::Script::new(source), source)
    }

    /// A call of the script on one key; the arguments are to be added.
    pub(super) fn on(&self, key: &Key) -> Cmd {
        self.on_name(&key.name)
    }

    pub(super) fn on_name(&self, key: &str) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(self.0.get_hash()).arg(1).arg(key);
        command
    }

    fn load(&self) -> Cmd {
        let mut command = redis::cmd("SCRIPT");
        command.arg("LOAD").arg(self.1);
        command
    }
}
