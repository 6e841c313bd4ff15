//! Decides in which parts of a text a short value may be found. A value of fewer than eight
//! characters can equal a number, a word of JSON or a field's name. Replacing it there would leave
//! JSON that no program can parse.

/// Deeper levels of JSON are not told apart.
const MAX_NESTING: usize = 128;

/// The kind of a text.
#[derive(Default)]
pub(super) enum Context {
    /// Plain text: a short value may be found anywhere.
    #[default]
    Text,
    /// A key or a number of JSON: a short value is found nowhere.
    Name,
    /// JSON, or events that carry JSON: a short value may be found in strings that are not keys.
    Json(Walk),
}

/// A position in JSON, and the parser's state there.
#[derive(Clone, Default)]
pub(super) struct Walk {
    at: usize,
    /// One entry per open level: true for an object, false for an array.
    levels: Vec<bool>,
    in_string: bool,
    is_escaped: bool,
    is_key: bool,
    key_is_next: bool,
}

impl Context {
    /// Whether a short value may be found at `at`. Reads the text up to there.
    pub(super) fn allows(&mut self, text: &[u8], at: usize) -> bool {
        match self {
            Self::Text => true,
            Self::Name => false,
            Self::Json(walk) => {
                walk.to(text, at);
                walk.in_string && !walk.is_key
            }
        }
    }

    /// Whether the byte at `at` belongs to a JSON number. Reads the text up to there. A find in a
    /// number is replaced by a quoted string, so that the rest can still be parsed.
    pub(super) fn is_number(&mut self, text: &[u8], at: usize) -> bool {
        match self {
            Self::Text | Self::Name => false,
            Self::Json(walk) => {
                walk.to(text, at);
                let is_of_number = |byte: &u8| byte.is_ascii_digit() || b"+-.".contains(byte);
                !walk.in_string && text.get(at).is_some_and(is_of_number)
            }
        }
    }

    /// Prepares for the next part of the text, when this part is settled up to `settled`. `start`
    /// is the state at the beginning of this part.
    pub(super) fn settle(&mut self, start: Option<Walk>, text: &[u8], settled: usize) {
        if let (Self::Json(walk), Some(start)) = (self, start) {
            *walk = start;
            walk.to(text, settled);
            walk.at = 0;
        }
    }

    pub(super) fn walk(&self) -> Option<Walk> {
        match self {
            Self::Json(walk) => Some(walk.clone()),
            Self::Text | Self::Name => None,
        }
    }
}

impl Walk {
    fn to(&mut self, text: &[u8], at: usize) {
        for &byte in text.get(self.at..at).unwrap_or_default() {
            self.take(byte);
        }
        self.at = self.at.max(at);
    }

    fn take(&mut self, byte: u8) {
        match byte {
            // A JSON string has no raw line break, so a line break starts a new event.
            b'\n' | b'\r' => (self.in_string, self.is_escaped) = (false, false),
            _ if self.is_escaped => self.is_escaped = false,
            b'\\' => self.is_escaped = self.in_string,
            b'"' if self.in_string => self.in_string = false,
            _ if self.in_string => {}
            b'"' => (self.in_string, self.is_key) = (true, self.key_is_next),
            b'{' | b'[' => {
                self.key_is_next = byte == b'{';
                if self.levels.len() < MAX_NESTING {
                    self.levels.push(self.key_is_next);
                }
            }
            b'}' | b']' => {
                self.levels.pop();
                self.key_is_next = false;
            }
            b',' => self.key_is_next = self.levels.last() == Some(&true),
            b':' => self.key_is_next = false,
            _ => {}
        }
    }
}
