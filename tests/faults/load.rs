//! More calls than a pool can take, calls that nobody waits for, and pools that change under load.
