//! Random calls that mean something: files are opened, written and listed more often than not, and the
//! rest is what can be wrong about a call with pointers that are good.

use weir_testkit::Wasi;
use weir_testkit::calls::*;

const PATHS: [&[u8]; 32] = [
    b"a",
    b"b",
    b"c",
    b"d",
    b"d/",
    b"d/a",
    b"d/b",
    b"d/d",
    b"d/d/d/d/d",
    b"d/../a",
    b"../d/a",
    b"m",
    b"m/big",
    b"m/sub",
    b"m/sub/small",
    b"m/link",
    b"m/out",
    b"m/new",
    b"a/b",
    b".",
    b"./",
    b"..",
    b"/a",
    b"",
    b"nul\0",
    b"\xff",
    b"much-too-long-a-name",
    b"a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a",
    b"l",
    b"l/a",
    b"up/file",
    b"../outside/file",
];

/// Small numbers out of random bytes; zeros when there are no more.
pub struct Choices<'a>(pub &'a [u8]);

impl Choices<'_> {
    pub fn below(&mut self, end: u64) -> u64 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        u64::from(*first) % end
    }

    pub fn one_of(&mut self, all: &[u64]) -> u64 {
        all[self.below(all.len() as u64) as usize]
    }

    /// A descriptor: files that were opened at the start and the lowest free numbers more often.
    fn fd(&mut self) -> u64 {
        self.one_of(&[0, 0, 0, 1, 1, 1, 2, 2, 6, 6, 7, 3, 4, 5, 8, 9, 11])
    }

    /// Puts a path into memory; its address and length.
    fn path(&mut self, at: u64, places: &mut [&mut dyn Wasi]) -> [u64; 2] {
        // The first dozen is good more often than not.
        let count = if self.below(3) > 0 { 12 } else { PATHS.len() as u64 };
        let path = PATHS[self.below(count) as usize];
        places.iter_mut().for_each(|place| place.put(at, path));
        [at, path.len() as u64]
    }

    fn offset(&mut self) -> u64 {
        let edges = [
            0,
            0,
            1,
            7,
            7,
            100,
            100,
            5000,
            16_383,
            16_384,
            16_385,
            30_000,
            49_999,
            50_000,
            65_536,
            299_990,
            1 << 32,
            u64::MAX,
        ];
        self.one_of(&edges)
    }

    /// Puts up to four iovecs into memory; their address and number.
    fn iovecs(&mut self, places: &mut [&mut dyn Wasi]) -> [u64; 2] {
        let count = self.below(5);
        for index in 0..count {
            let at = DATA + self.below(256) * 97;
            let len = self.one_of(&[0, 1, 5, 100, 4096, 16_384, 20_000, 70_000]);
            let iovec = [at as u32, len as u32].map(u32::to_le_bytes).concat();
            places.iter_mut().for_each(|place| place.put(IOVS + index * 8, &iovec));
        }
        [IOVS, count]
    }

    fn rights(&mut self) -> u64 {
        self.one_of(&[0, FD_READ, FD_WRITE, READ_WRITE, READ_WRITE, u64::MAX >> 34])
    }

    /// One call: a function and its arguments.
    pub fn call(&mut self, places: &mut [&mut dyn Wasi]) -> (&'static str, Vec<u64>) {
        let fd = self.fd();
        if self.below(2) == 0 { self.on_path(fd, places) } else { self.on_descriptor(fd, places) }
    }

    fn on_path(&mut self, fd: u64, places: &mut [&mut dyn Wasi]) -> (&'static str, Vec<u64>) {
        // The preopened directories more often than others.
        let fd = if self.below(8) > 0 { 3 + self.below(9) / 4 } else { fd };
        let [at, len] = self.path(PATH, places);
        let second = |choices: &mut Self, places: &mut [&mut dyn Wasi]| {
            let [at, len] = choices.path(PATH_2, places);
            [3 + choices.below(4), at, len]
        };
        match self.below(14) {
            0 => ("path_create_directory", vec![fd, at, len]),
            1 => ("path_remove_directory", vec![fd, at, len]),
            2 => ("path_unlink_file", vec![fd, at, len]),
            3 => ("path_filestat_get", vec![fd, self.below(3), at, len, DATA]),
            4 => (
                "path_filestat_set_times",
                vec![fd, self.below(2), at, len, self.offset(), self.offset(), self.below(18)],
            ),
            5 => {
                let [new_fd, new_at, new_len] = second(self, places);
                ("path_link", vec![fd, self.below(2), at, len, new_fd, new_at, new_len])
            }
            6 => ("path_readlink", vec![fd, at, len, DATA, self.below(12), OUT]),
            7 | 8 => {
                let [new_fd, new_at, new_len] = second(self, places);
                ("path_rename", vec![fd, at, len, new_fd, new_at, new_len])
            }
            9 => {
                let [_, new_at, new_len] = second(self, places);
                ("path_symlink", vec![at, len, fd, new_at, new_len])
            }
            _ => {
                let oflags =
                    self.one_of(&[0, 0, 0, CREAT, CREAT, CREAT, CREAT | TRUNC, TRUNC, DIRECTORY, CREAT | EXCL, 16]);
                let flags = self.one_of(&[0, 0, 0, 0, 0, APPEND, APPEND, 31, 32]);
                ("path_open", vec![fd, self.below(2), at, len, oflags, self.rights(), self.rights(), flags, OUT])
            }
        }
    }

    fn on_descriptor(&mut self, fd: u64, places: &mut [&mut dyn Wasi]) -> (&'static str, Vec<u64>) {
        match self.below(34) {
            0 => ("fd_advise", vec![fd, self.offset(), self.offset(), self.below(8)]),
            1 => ("fd_allocate", vec![fd, self.offset(), self.offset()]),
            2 if !(3..=5).contains(&fd) || self.below(8) == 0 => ("fd_close", vec![fd]),
            3 => ("fd_datasync", vec![fd]),
            4 => ("fd_fdstat_get", vec![fd, OUT]),
            5 => ("fd_fdstat_set_flags", vec![fd, self.one_of(&[0, 1, 4, 31, 32])]),
            6 if self.below(3) == 0 => {
                ("fd_fdstat_set_rights", vec![fd, self.one_of(&[u64::MAX >> 34, READ_WRITE, 0]), self.rights()])
            }
            7 => ("fd_filestat_get", vec![fd, DATA]),
            8 => ("fd_filestat_set_size", vec![fd, self.offset()]),
            9 => ("fd_filestat_set_times", vec![fd, self.offset(), self.offset(), self.below(18)]),
            10 => ("fd_prestat_get", vec![fd, OUT]),
            11 => ("fd_prestat_dir_name", vec![fd, DATA, self.below(4)]),
            12 | 13 => ("fd_readdir", vec![fd, DATA, self.below(200), self.below(9), OUT]),
            14 if !(3..=5).contains(&fd) => ("fd_renumber", vec![fd, self.fd()]),
            15 => ("fd_seek", vec![fd, self.offset(), self.below(4), OUT]),
            16 => ("fd_sync", vec![fd]),
            17 => ("fd_tell", vec![fd, OUT]),
            number => {
                let [at, count] = self.iovecs(places);
                match number % 8 {
                    0 | 1 => ("fd_pread", vec![fd, at, count, self.offset(), OUT]),
                    2 => ("fd_read", vec![fd, at, count, OUT]),
                    3..=5 => ("fd_pwrite", vec![fd, at, count, self.offset(), OUT]),
                    _ => ("fd_write", vec![fd, at, count, OUT]),
                }
            }
        }
    }
}
