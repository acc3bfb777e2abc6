//! Durations (`250ms`, `30s`, `5m`, `1h`, `1d`) and sizes (`64KiB`, `10MiB`, `1GiB`, plain bytes) in
//! configuration.
