//! Decimal numbers without the machinery of `fmt`, which costs more than the rest of a field.

use super::out::Out;

/// `00` to `99`.
static PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

/// Appends a number.
pub(crate) fn push_u64(out: &mut Out, number: u64) {
    if let Some(digits) = usize::try_from(number).ok().and_then(|number| PAIRS.get(number)) {
        let [_, ones] = digits;
        return if number < 10 { out.push_ascii(&[*ones]) } else { out.push_ascii(digits) };
    }
    let mut digits = [b'0'; 20];
    let mut first = digits.len();
    let mut rest = number;
    while rest >= 100 {
        first -= 2;
        digits[first..first + 2].copy_from_slice(&PAIRS[(rest % 100) as usize]);
        rest /= 100;
    }
    // Two digits are left, or one.
    let [tens, ones] = PAIRS[rest as usize];
    first -= 1;
    digits[first] = ones;
    if tens != b'0' {
        first -= 1;
        digits[first] = tens;
    }
    out.push_ascii_slice(&digits[first..]);
}

/// Appends a number with its sign, if that is a minus.
pub(crate) fn push_i64(out: &mut Out, number: i64) {
    if number < 0 {
        out.push_ascii(b"-");
    }
    push_u64(out, number.unsigned_abs());
}

/// A number below 100 with two digits, a zero in front if need be.
pub(crate) fn two(number: u32) -> [u8; 2] {
    PAIRS[(number % 100) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_standard_library_does() {
        for number in [0, 1, 9, 10, 11, 99, 100, 101, 4_294_967_296, i64::MAX, -1, -10, i64::MIN] {
            let mut out = Out::default();
            push_i64(&mut out, number);
            assert_eq!(out.as_str(), number.to_string());
        }
        let mut out = Out::default();
        push_u64(&mut out, u64::MAX);
        assert_eq!(out.as_str(), u64::MAX.to_string());
    }

    #[test]
    fn two_digits_are_always_two() {
        assert_eq!([two(0), two(7), two(42), two(99)], [*b"00", *b"07", *b"42", *b"99"]);
    }
}
