//! Text measured in columns of a terminal: wide characters take two, marks that sit on others none.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

pub(super) fn width_of(text: &str) -> usize {
    text.width()
}

pub(super) fn padded_left(text: &str, width: usize) -> String {
    format!("{}{text}", " ".repeat(width.saturating_sub(width_of(text))))
}

pub(super) fn padded_right(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(width_of(text))))
}

/// The lines of a paragraph. A word that is longer than a line goes on in the next.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let width = width.max(2);
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        for (at, piece) in pieces(word, width).into_iter().enumerate() {
            let Some(line) = lines.last_mut() else { continue };
            if line.is_empty() {
                line.push_str(&piece);
            } else if at == 0 && width_of(line) + 1 + width_of(&piece) <= width {
                line.push(' ');
                line.push_str(&piece);
            } else {
                lines.push(piece);
            }
        }
    }
    lines
}

fn pieces(word: &str, width: usize) -> Vec<String> {
    if width_of(word) <= width {
        return vec![word.to_owned()];
    }
    let mut pieces = vec![String::new()];
    let mut used = 0;
    for c in word.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide > width {
            pieces.push(String::new());
            used = 0;
        }
        if let Some(piece) = pieces.last_mut() {
            piece.push(c);
        }
        used += wide;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paragraph_is_broken_between_words_and_a_long_word_where_it_must() {
        for (text, width, want) in [
            ("one two three", 7, &["one two", "three"][..]),
            ("one  two\nthree", 40, &["one two three"]),
            ("a 12345678 b", 4, &["a", "1234", "5678", "b"]),
            ("顧客番号", 4, &["顧客", "番号"]),
            ("", 10, &[""]),
        ] {
            assert_eq!(wrapped(text, width), want, "{text:?} in {width}");
        }
    }
}
