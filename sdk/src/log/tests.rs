//! What the whole path promises: event in, line out.
