//! The error numbers of WASI 0.1. Every failure of this crate is one of them, so that no layer above
//! has to guess what a program should be told.

use core::fmt;

macro_rules! errno {
    ($($name:ident = $number:literal, $posix:literal, $words:literal;)*) => {
        /// A WASI 0.1 error number, with its number there.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum Errno {
            $(#[doc = concat!("`", $posix, "`: ", $words, ".")] $name = $number,)*
        }

        impl Errno {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [Errno] = &[$(Errno::$name),*];

            /// The POSIX name, such as `ENOENT`.
            pub fn name(self) -> &'static str {
                match self { $(Errno::$name => $posix),* }
            }

            /// What it means, in words.
            pub fn words(self) -> &'static str {
                match self { $(Errno::$name => $words),* }
            }
        }
    };
}

errno! {
    TooBig = 1, "E2BIG", "argument list too long";
    Acces = 2, "EACCES", "permission denied";
    Addrinuse = 3, "EADDRINUSE", "address in use";
    Addrnotavail = 4, "EADDRNOTAVAIL", "address not available";
    Afnosupport = 5, "EAFNOSUPPORT", "address family not supported";
    Again = 6, "EAGAIN", "resource unavailable, try again";
    Already = 7, "EALREADY", "connection already in progress";
    Badf = 8, "EBADF", "bad file descriptor";
    Badmsg = 9, "EBADMSG", "bad message";
    Busy = 10, "EBUSY", "device or resource busy";
    Canceled = 11, "ECANCELED", "operation canceled";
    Child = 12, "ECHILD", "no child processes";
    Connaborted = 13, "ECONNABORTED", "connection aborted";
    Connrefused = 14, "ECONNREFUSED", "connection refused";
    Connreset = 15, "ECONNRESET", "connection reset";
    Deadlk = 16, "EDEADLK", "resource deadlock would occur";
    Destaddrreq = 17, "EDESTADDRREQ", "destination address required";
    Dom = 18, "EDOM", "mathematics argument out of domain";
    Dquot = 19, "EDQUOT", "disc quota exceeded";
    Exist = 20, "EEXIST", "file exists";
    Fault = 21, "EFAULT", "bad address";
    Fbig = 22, "EFBIG", "file too large";
    Hostunreach = 23, "EHOSTUNREACH", "host is unreachable";
    Idrm = 24, "EIDRM", "identifier removed";
    Ilseq = 25, "EILSEQ", "illegal byte sequence";
    Inprogress = 26, "EINPROGRESS", "operation in progress";
    Intr = 27, "EINTR", "interrupted function";
    Inval = 28, "EINVAL", "invalid argument";
    Io = 29, "EIO", "input/output error";
    Isconn = 30, "EISCONN", "socket is connected";
    Isdir = 31, "EISDIR", "is a directory";
    Loop = 32, "ELOOP", "too many levels of symbolic links";
    Mfile = 33, "EMFILE", "file descriptor value too large";
    Mlink = 34, "EMLINK", "too many links";
    Msgsize = 35, "EMSGSIZE", "message too large";
    Multihop = 36, "EMULTIHOP", "multihop attempted";
    Nametoolong = 37, "ENAMETOOLONG", "file name too long";
    Netdown = 38, "ENETDOWN", "network is down";
    Netreset = 39, "ENETRESET", "connection aborted by network";
    Netunreach = 40, "ENETUNREACH", "network unreachable";
    Nfile = 41, "ENFILE", "too many files open in system";
    Nobufs = 42, "ENOBUFS", "no buffer space available";
    Nodev = 43, "ENODEV", "no such device";
    Noent = 44, "ENOENT", "no such file or directory";
    Noexec = 45, "ENOEXEC", "executable file format error";
    Nolck = 46, "ENOLCK", "no locks available";
    Nolink = 47, "ENOLINK", "link has been severed";
    Nomem = 48, "ENOMEM", "not enough space";
    Nomsg = 49, "ENOMSG", "no message of the desired type";
    Noprotoopt = 50, "ENOPROTOOPT", "protocol not available";
    Nospc = 51, "ENOSPC", "no space left on device";
    Nosys = 52, "ENOSYS", "function not supported";
    Notconn = 53, "ENOTCONN", "the socket is not connected";
    Notdir = 54, "ENOTDIR", "not a directory or a symbolic link to a directory";
    Notempty = 55, "ENOTEMPTY", "directory not empty";
    Notrecoverable = 56, "ENOTRECOVERABLE", "state not recoverable";
    Notsock = 57, "ENOTSOCK", "not a socket";
    Notsup = 58, "ENOTSUP", "not supported, or operation not supported on socket";
    Notty = 59, "ENOTTY", "inappropriate I/O control operation";
    Nxio = 60, "ENXIO", "no such device or address";
    Overflow = 61, "EOVERFLOW", "value too large to be stored in data type";
    Ownerdead = 62, "EOWNERDEAD", "previous owner died";
    Perm = 63, "EPERM", "operation not permitted";
    Pipe = 64, "EPIPE", "broken pipe";
    Proto = 65, "EPROTO", "protocol error";
    Protonosupport = 66, "EPROTONOSUPPORT", "protocol not supported";
    Prototype = 67, "EPROTOTYPE", "protocol wrong type for socket";
    Range = 68, "ERANGE", "result too large";
    Rofs = 69, "EROFS", "read-only file system";
    Spipe = 70, "ESPIPE", "invalid seek";
    Srch = 71, "ESRCH", "no such process";
    Stale = 72, "ESTALE", "stale file handle";
    Timedout = 73, "ETIMEDOUT", "connection timed out";
    Txtbsy = 74, "ETXTBSY", "text file busy";
    Xdev = 75, "EXDEV", "cross-device link";
    Notcapable = 76, "ENOTCAPABLE", "capabilities insufficient";
}

impl Errno {
    /// The number that a WASI 0.1 function returns. 0 is success, which is no `Errno`.
    #[inline]
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// The error with this number; `None` for 0 and numbers beyond the table.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ({})", self.words(), self.name())
    }
}

impl core::error::Error for Errno {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_wasi() {
        for (index, errno) in Errno::ALL.iter().enumerate() {
            assert_eq!(usize::from(errno.number()), index + 1, "{errno:?}");
            assert_eq!(Errno::from_number(errno.number()), Some(*errno));
        }
        assert_eq!(Errno::ALL.len(), 76);
        for (errno, number) in
            [(Errno::Badf, 8), (Errno::Inval, 28), (Errno::Noent, 44), (Errno::Perm, 63), (Errno::Notcapable, 76)]
        {
            assert_eq!(errno.number(), number);
        }
        assert_eq!(Errno::from_number(0), None);
        assert_eq!(Errno::from_number(77), None);
    }
}
