//! An Open vSwitch of its own for a site: `ovsdb-server` and `ovs-vswitchd` as child processes in the site's
//! namespace, with all their files in one directory. The system's own, if there is one, is not touched.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::namespace::{Namespace, eventually, succeed};

/// The port that the agent adds.
pub(crate) const TRUNK: &str = "leon0";
/// What the daemons take to start, on a machine that may be small.
const STARTED: Duration = Duration::from_secs(10);

/// A running switch with the bridge `br0`. The daemons are killed when it is dropped; their logs are printed if the
/// test fails.
pub(crate) struct Switch {
    directory: PathBuf,
    vswitchd: Child,
    database: Child,
}

impl Switch {
    /// Starts the daemons in a namespace and makes the bridge, with the datapath that needs no kernel module.
    pub(crate) fn start(ns: &Namespace, directory: PathBuf) -> Self {
        fs::create_dir(&directory).expect("a fresh directory");
        let conf = directory.join("conf.db");
        succeed(Command::new("ovsdb-tool").arg("create").arg(&conf));
        let socket = directory.join("db.sock");
        let remote = format!("--remote=punix:{}", socket.display());
        let database = spawn(ns, &directory, "ovsdb-server", &[&conf.display().to_string(), &remote]);
        let vswitchd = spawn(ns, &directory, "ovs-vswitchd", &[&format!("unix:{}", socket.display())]);
        let switch = Self { directory, vswitchd, database };
        let listens = || switch.try_vsctl("--no-wait init").map(drop);
        eventually("the database listens", STARTED, listens);
        switch.vsctl("add-br br0 -- set bridge br0 datapath_type=netdev");
        // As deep as dot1q-tunnel ports need it.
        switch.vsctl("set Open_vSwitch . other_config:vlan-limit=2");
        switch
    }

    /// The socket of the database.
    pub(crate) fn db(&self) -> PathBuf {
        self.directory.join("db.sock")
    }

    /// Runs `ovs-vsctl` with these words; it waits until `ovs-vswitchd` has acted. What it prints.
    pub(crate) fn vsctl(&self, words: &str) -> String {
        self.try_vsctl(words).unwrap_or_else(|error| panic!("ovs-vsctl {words}: {error}"))
    }

    fn try_vsctl(&self, words: &str) -> Result<String, String> {
        let mut vsctl = Command::new("ovs-vsctl");
        vsctl.arg(format!("--db=unix:{}", self.db().display())).arg("--timeout=10");
        let output = vsctl.args(words.split_whitespace()).output().map_err(|error| error.to_string())?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    pub(crate) fn stop_vswitchd(&mut self) {
        end(&mut self.vswitchd);
    }

    pub(crate) fn stop_database(&mut self) {
        end(&mut self.database);
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        end(&mut self.vswitchd);
        end(&mut self.database);
        if std::thread::panicking() {
            for daemon in ["ovsdb-server", "ovs-vswitchd"] {
                let log = fs::read_to_string(self.directory.join(daemon).with_extension("log"));
                eprintln!("--- log of {daemon} in {}\n{}", self.directory.display(), log.unwrap_or_default());
            }
        }
    }
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// Starts a daemon that keeps its files in `directory` and its log in a file of its name.
fn spawn(ns: &Namespace, directory: &Path, daemon: &str, arguments: &[&str]) -> Child {
    let log = File::create(directory.join(daemon).with_extension("log")).expect("a fresh directory");
    let mut command = Command::new(daemon);
    command.args(arguments).env("OVS_RUNDIR", directory).env("OVS_LOGDIR", directory);
    command.arg(format!("--pidfile={}", directory.join(daemon).with_extension("pid").display()));
    command.arg(format!("--unixctl={}", directory.join(daemon).with_extension("ctl").display()));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    ns.inside(|| command.spawn()).expect("Open vSwitch is installed")
}
