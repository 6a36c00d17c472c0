//! The canary: whatever 0.2.x or 0.3.x version of wasi:filesystem a component asks for, it sees the
//! virtual tree and never the host's files. A second implementation in the linker, picked because its
//! version is higher, would show here and nowhere else. The components are text, so that this needs
//! no toolchain.

use weir_engine::{ComponentProgram, Kind, Program, Run, Save};
use weir_types::grants::{Grants, Place, Source, UnknownImports};
use weir_types::limits::Limits;

const P2: &str = include_str!("component/canary_p2.wat");
const P3: &str = include_str!("component/canary_p3.wat");

fn load(text: &str) -> ComponentProgram {
    let program = Program::from_bytes("canary.wat", text.as_bytes().to_vec()).unwrap();
    ComponentProgram::load(&program, UnknownImports::Refuse, &Limits::default(), None, weir_engine::as_it_is).unwrap()
}

/// Two files of the host that no program may see. One has the very path under which the program is
/// given a virtual file; the other has a path that nothing was granted for.
struct Host {
    folder: tempfile::TempDir,
    same: String,
    secret: String,
}

impl Host {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| {
            std::fs::write(folder.path().join(name), "of the host").unwrap();
            folder.path().join(name).to_str().unwrap().to_owned()
        };
        let (same, secret) = (path("canary.txt"), path("secret.txt"));
        Self { folder, same, secret }
    }

    /// Runs the component with the virtual file; gives its exit code.
    fn run(&self, text: &str, version: &str, canary: &[u8], saves: &[Save]) -> u32 {
        let relative = self.same.trim_start_matches('/');
        let text = text.replace("VERSION", version).replace("SECRET", &self.secret).replace("CANARY", relative);
        let places = vec![Place { guest: self.same.clone(), source: Source::Bytes(canary.to_vec()) }];
        let grants = Grants { places, ..Grants::default() };
        let limits = Limits::default();
        let run = Run { saves, ..Run::new(&grants, &limits) };
        load(&text).run(run).unwrap().exit_code
    }
}

#[test]
fn every_version_of_0_2_reads_the_virtual_file_and_not_the_host() {
    let host = Host::new();
    for version in ["0.2.0", "0.2.3", "0.2.6", "0.2.9", "0.2.12", "0.2.99"] {
        let copy = host.folder.path().join(version);
        let saves = [Save { guest: "/copy.txt".into(), host: copy.clone() }];
        assert_eq!(host.run(P2, version, b"sings in the tree", &saves), 0, "{version}");
        assert_eq!(std::fs::read(&copy).unwrap(), b"sings in the tree", "{version}");
    }
    assert_eq!(std::fs::read(&host.same).unwrap(), b"of the host");
}

#[test]
fn every_version_of_0_3_sees_the_virtual_file_and_not_the_host() {
    let host = Host::new();
    for version in ["0.3.0", "0.3.2", "0.3.9"] {
        // The component checks that the size is this.
        assert_eq!(host.run(P3, version, &[7; 4321], &[]), 0, "{version}");
        assert_eq!(host.run(P3, version, &[7; 4320], &[]), 1, "{version}");
    }
}

#[test]
fn drafts_of_0_3_are_refused_by_name() {
    let text = P3.replace("VERSION", "0.3.0-rc-2026-03-15").replace("SECRET", "/x").replace("CANARY", "x");
    let program = Program::from_bytes("canary.wat", text.into_bytes()).unwrap();
    let (grants, limits) = (Grants::default(), Limits::default());
    let run = Run::new(&grants, &limits);
    let loaded =
        ComponentProgram::load(&program, UnknownImports::Refuse, &Limits::default(), None, weir_engine::as_it_is);
    let error = loaded.and_then(|component| component.run(run)).unwrap_err();
    assert_eq!(error.kind(), Kind::Program);
    assert!(error.to_string().contains("draft"), "{error}");
}
