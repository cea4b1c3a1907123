/// Something that the system limits per process, or per user, see `setrlimit(2)`.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// The address space, in bytes. It is not the memory that is used: numerical libraries reserve many gigabytes that
    /// they never touch, and do not even load under a limit that looks generous. To bound memory, use a control group.
    AddressSpace,
    /// The size of a core file, in bytes. Without a limit of yours it is 0.
    CoreFile,
    /// The processor time of the whole life of a worker, in seconds. At the soft limit it is killed by SIGXCPU.
    CpuTime,
    /// The size of the heap, in bytes.
    Data,
    /// The size of any file that it writes, in bytes. Python raises `OSError` where one would grow beyond it.
    FileSize,
    /// The memory that it may lock, in bytes.
    LockedMemory,
    /// The number of open descriptors.
    OpenFiles,
    /// The number of processes and threads of the worker's user, those outside the pool included. It does not bind root.
    Processes,
    /// The size of the main thread's stack, in bytes.
    Stack,
}

impl Resource {
    /// What Python's module `resource` calls it.
    pub(super) fn python_name(self) -> &'static str {
        match self {
            Self::AddressSpace => "RLIMIT_AS",
            Self::CoreFile => "RLIMIT_CORE",
            Self::CpuTime => "RLIMIT_CPU",
            Self::Data => "RLIMIT_DATA",
            Self::FileSize => "RLIMIT_FSIZE",
            Self::LockedMemory => "RLIMIT_MEMLOCK",
            Self::OpenFiles => "RLIMIT_NOFILE",
            Self::Processes => "RLIMIT_NPROC",
            Self::Stack => "RLIMIT_STACK",
        }
    }
}
