//! Decimal numbers without the machinery of `fmt`, which costs more than the rest of a field.

/// Appends a number.
pub(crate) fn push_u64(out: &mut String, number: u64) {
    let mut digits = [b'0'; 20];
    let mut first = digits.len();
    let mut rest = number;
    loop {
        first -= 1;
        // A remainder of 10 fits.
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    push_ascii(out, &digits[first..]);
}

/// Appends a number with its sign, if that is a minus.
pub(crate) fn push_i64(out: &mut String, number: i64) {
    if number < 0 {
        out.push('-');
    }
    push_u64(out, number.unsigned_abs());
}

/// The last `PLACES` digits of a number, zeros in front.
pub(crate) fn padded<const PLACES: usize>(number: u32) -> [u8; PLACES] {
    let mut digits = [b'0'; PLACES];
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    digits
}

/// Appends bytes that are known to be ASCII.
pub(crate) fn push_ascii(out: &mut String, ascii: &[u8]) {
    out.push_str(std::str::from_utf8(ascii).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_standard_library_does() {
        for number in [0, 1, 9, 10, 4_294_967_296, i64::MAX, -1, -10, i64::MIN] {
            let mut out = String::new();
            push_i64(&mut out, number);
            assert_eq!(out, number.to_string());
        }
        let mut out = String::new();
        push_u64(&mut out, u64::MAX);
        assert_eq!(out, u64::MAX.to_string());
    }

    #[test]
    fn padding_fills_with_zeros() {
        assert_eq!(&padded::<6>(1_234), b"001234");
        assert_eq!(&padded::<3>(0), b"000");
    }
}
