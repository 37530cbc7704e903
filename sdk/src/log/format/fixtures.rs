//! The contract with whoever reads lines: every case of the fixture is written exactly.
