//! The memory of a state page: sealed in its size, and mapped for as long as somebody looks at it.

pub(super) use platform::Mapping;

#[cfg(all(target_os = "linux", not(pyproc_portable)))]
mod platform {
    use std::os::fd::OwnedFd;
    use std::ptr::{self, NonNull};
    use std::sync::atomic::AtomicU64;

    use pyproc_proto::state_page::{BYTES, Word};
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
    use rustix::io;
    use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

    #[derive(Debug)]
    pub(in crate::state_page) struct Mapping {
        words: NonNull<AtomicU64>,
    }

    // SAFETY: the memory belongs to nobody's thread, and is read and written only as atomic words.
    #[expect(unsafe_code, reason = "a pointer says nothing about threads by itself")]
    unsafe impl Send for Mapping {}

    // SAFETY: as above; `AtomicU64` is made for access by several threads.
    #[expect(unsafe_code, reason = "a pointer says nothing about threads by itself")]
    unsafe impl Sync for Mapping {}

    impl Mapping {
        /// New memory, all zeros, and the descriptor behind it. `None` where a sandbox forbids it, or memory is short.
        pub(in crate::state_page) fn create() -> Option<(Self, OwnedFd)> {
            let descriptor = sealed().ok()?;
            // SAFETY: the address is the kernel's to choose, so no memory that is in use is replaced. The file has
            // `BYTES` bytes, and it was sealed against shrinking before anybody else could have it, so that no access
            // within the mapping can end in SIGBUS.
            #[expect(unsafe_code, reason = "shared memory is mapped")]
            let address = unsafe {
                mmap(
                    ptr::null_mut(),
                    BYTES,
                    ProtFlags::READ | ProtFlags::WRITE,
                    MapFlags::SHARED,
                    &descriptor,
                    0,
                )
            };
            let words = NonNull::new(address.ok()?.cast())?;
            Some((Self { words }, descriptor))
        }

        pub(in crate::state_page) fn word(&self, word: Word) -> &AtomicU64 {
            let index = word.index();
            assert!(index < BYTES / size_of::<AtomicU64>(), "a word of the page");
            // SAFETY: the word lies within the mapping, by the line above, and a mapping begins at a page and so is
            // aligned. It lives as long as `self`, since only `drop` unmaps it. Its memory is initialized, to zeros. The
            // other process may write it at any time; all accesses of this one are atomic, and any value is a `u64`.
            #[expect(unsafe_code, reason = "shared memory is accessed by its address")]
            unsafe {
                self.words.add(index).as_ref()
            }
        }
    }

    impl Drop for Mapping {
        fn drop(&mut self) {
            // SAFETY: this very memory was mapped by `create`, with this length, and nobody holds a reference to it,
            // because all of them borrow from `self`.
            #[expect(unsafe_code, reason = "shared memory is unmapped")]
            // There is nothing to be done about a failure, and none is possible for what was mapped.
            let _ = unsafe { munmap(self.words.as_ptr().cast(), BYTES) };
        }
    }

    fn sealed() -> io::Result<OwnedFd> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let descriptor = memfd_create(c"pyproc-state-page", flags)?;
        ftruncate(&descriptor, BYTES as u64)?;
        fcntl_add_seals(
            &descriptor,
            SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL,
        )?;
        Ok(descriptor)
    }
}

#[cfg(not(all(target_os = "linux", not(pyproc_portable))))]
mod platform {
    use std::os::fd::OwnedFd;
    use std::sync::atomic::AtomicU64;

    use pyproc_proto::state_page::Word;

    /// There is none.
    #[derive(Debug)]
    pub(in crate::state_page) enum Mapping {}

    impl Mapping {
        pub(in crate::state_page) fn create() -> Option<(Self, OwnedFd)> {
            None
        }

        pub(in crate::state_page) fn word(&self, _: Word) -> &AtomicU64 {
            match *self {}
        }
    }
}
