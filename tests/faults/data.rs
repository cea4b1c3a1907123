//! What can be in a body: depth bombs, numbers and texts that a codec cannot carry, results that are none.
